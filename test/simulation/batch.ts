// Users with DaemonSets and Jobs: a few at a time, updated, deleted, and asked for until there is an answer.
import { daemonsets, jobs } from "../../api/kinds/generated/resources.ts";
import type { DaemonSet, Job, JobSpec } from "../../api/kinds/generated/types.ts";
import { isReason } from "../../api/kinds/status.ts";
import type { Client } from "../../client/client.ts";
import { type Clock, sleep } from "../../lib/clock.ts";
import { below, fraction, type Random } from "../../lib/random.ts";
import { pick } from "./faults.ts";

export interface BatchWorkload {
  /** Requests that have no answer yet. */
  readonly inFlight: number;
  /** Does something drawn. */
  step(): void;
}

export interface BatchParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly request: <T>(run: (client: Client) => Promise<T>) => Promise<T>;
  readonly note: (...what: readonly (string | number)[]) => void;
}

const jobsMax = 6;
const daemonsMax = 1;
const retryMs = 300;
const namespace = "default";

export function openBatchWorkload({ clock, random, request, note }: BatchParts): BatchWorkload {
  const jobNames = new Set<string>();
  const daemonNames = new Set<string>();
  let inFlight = 0;
  let named = 0;

  const ask = async (run: (client: Client) => Promise<unknown>): Promise<void> => {
    inFlight++;
    for (;;) {
      try {
        await request(run);
        break;
      } catch (error) {
        if (isReason(error, "AlreadyExists", "NotFound")) break;
        if (isReason(error, "Invalid", "BadRequest", "Forbidden")) throw error;
        await sleep(clock, retryMs);
      }
    }
    inFlight--;
  };

  const createJob = () => {
    if (jobNames.size >= jobsMax) return;
    const job = jobOf(`job-${++named}`, random);
    note("user creates", job.metadata?.name ?? "", JSON.stringify(job.spec));
    void ask((client) => client.create(jobs, job)).then(() => jobNames.add(job.metadata?.name ?? ""));
  };
  const deleteJob = () => {
    if (jobNames.size < 3) return;
    const name = pick(random, [...jobNames]);
    jobNames.delete(name);
    const propagationPolicy = pick(random, ["Background", "Foreground"]);
    note("user deletes", name, propagationPolicy);
    void ask((client) => client.delete(jobs, { namespace, name }, { propagationPolicy }));
  };
  const createDaemons = () => {
    if (daemonNames.size >= daemonsMax) return;
    const set = daemonSetOf(`daemon-${++named}`, random);
    const name = set.metadata?.name ?? "";
    daemonNames.add(name);
    note("user creates", name, JSON.stringify(set.spec?.updateStrategy));
    void ask((client) => client.create(daemonsets, set));
  };
  const updateDaemons = () => {
    const [name] = daemonNames;
    if (name === undefined) return;
    const containers = [{ name: "app", image: `app:${below(random, 5)}` }];
    note("user updates", name, JSON.stringify(containers));
    const body = { spec: { template: { spec: { containers } } } };
    void ask((client) => client.patch(daemonsets, { namespace, name }, { type: "strategic", body }));
  };
  const deleteDaemons = () => {
    const [name] = daemonNames;
    if (name === undefined) return;
    daemonNames.delete(name);
    note("user deletes", name);
    void ask((client) => client.delete(daemonsets, { namespace, name }));
  };

  return {
    get inFlight() {
      return inFlight;
    },
    step: () => {
      const drawn = fraction(random);
      if (drawn < 0.4) createJob();
      else if (drawn < 0.55) deleteJob();
      else if (drawn < 0.75) createDaemons();
      else if (drawn < 0.95) updateDaemons();
      else deleteDaemons();
    },
  };
}

function jobOf(name: string, random: Random): Job {
  const completions = 1 + below(random, 12);
  const isIndexed = fraction(random) < 0.4;
  const spec: Omit<JobSpec, "template"> = {
    completions,
    parallelism: 1 + below(random, 5),
    // Waits between failures grow: more would outlast the run.
    backoffLimit: 3,
    completionMode: isIndexed ? "Indexed" : "NonIndexed",
    podReplacementPolicy: fraction(random) < 0.5 ? "Failed" : "TerminatingOrFailed",
    ...(fraction(random) < 0.2 ? { ttlSecondsAfterFinished: below(random, 10) } : {}),
  };
  const resources = { requests: { cpu: "10m", memory: "16Mi" } };
  const container = { name: "app", image: "app:1", command: ["once", "3000", "0.05"], resources };
  return {
    apiVersion: "batch/v1",
    kind: "Job",
    metadata: { namespace, name },
    spec: {
      ...spec,
      template: { spec: { containers: [container], restartPolicy: "Never", terminationGracePeriodSeconds: 2 } },
    },
  };
}

function daemonSetOf(name: string, random: Random): DaemonSet {
  const labels = { app: name };
  const maxUnavailable = pick(random, [1, "30%", "100%"]);
  const resources = { requests: { cpu: "10m", memory: "16Mi" } };
  return {
    apiVersion: "apps/v1",
    kind: "DaemonSet",
    metadata: { namespace, name },
    spec: {
      selector: { matchLabels: labels },
      updateStrategy: { type: "RollingUpdate", rollingUpdate: { maxUnavailable } },
      template: {
        metadata: { labels },
        spec: { terminationGracePeriodSeconds: 2, containers: [{ name: "app", image: "app:1", resources }] },
      },
    },
  };
}
