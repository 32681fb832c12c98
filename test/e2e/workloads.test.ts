// DaemonSets, Jobs and CronJobs as users have them, with real containers; by naru and by real kubectls, old and new.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { cronjobs, daemonsets, jobs, pods } from "../../api/kinds/generated/resources.ts";
import type { DaemonSet, Job, JobSpec } from "../../api/kinds/generated/types.ts";
import { startCluster, type TestCluster } from "./cluster.ts";
import { done, importProbe, podsOf, until, untilReady } from "./questions.ts";

let cluster: TestCluster;
before(async () => {
  cluster = await startCluster({ nodes: 2 });
  await importProbe(cluster);
});
after(() => cluster?.[Symbol.asyncDispose]());

const namespace = "default";
const kubectl = async (version: "old" | "new", ...args: readonly string[]) =>
  done(await cluster.kubectl(version, args));
const naru = async (...args: readonly string[]) => done(await cluster.naru(args));

const shipper: DaemonSet = {
  apiVersion: "apps/v1",
  kind: "DaemonSet",
  metadata: { namespace, name: "shipper" },
  spec: {
    selector: { matchLabels: { app: "shipper" } },
    template: {
      metadata: { labels: { app: "shipper" } },
      spec: {
        terminationGracePeriodSeconds: 1,
        containers: [{ name: "main", image: "naru.local/probe:1", command: ["/probe", "sleep", "1000"] }],
      },
    },
  },
};

const jobOf = (name: string, command: readonly string[], spec: Partial<JobSpec> = {}): Job => ({
  apiVersion: "batch/v1",
  kind: "Job",
  metadata: { namespace, name },
  spec: {
    template: {
      spec: { restartPolicy: "Never", containers: [{ name: "main", image: "naru.local/probe:1", command }] },
    },
    ...spec,
  },
});

test("a DaemonSet runs one pod on each node, an update replaces them, and either rollout undo brings them back", async () => {
  await cluster.client.create(daemonsets, shipper);
  assert.match(await kubectl("new", "rollout", "status", "ds/shipper", "--timeout=60s"), /successfully rolled out/);
  const first = await podsOf(cluster, "app=shipper");
  assert.deepEqual(first.map(({ spec }) => spec?.nodeName).sort(), ["node-1", "node-2"]);
  const images = async () => (await podsOf(cluster, "app=shipper")).map(({ spec }) => spec?.containers[0]?.image);
  await kubectl("old", "set", "image", "ds/shipper", "main=naru.local/probe:2");
  await naru("rollout", "status", "ds/shipper");
  assert.deepEqual(await images(), ["naru.local/probe:2", "naru.local/probe:2"]);
  await naru("rollout", "undo", "ds/shipper");
  assert.match(await kubectl("old", "rollout", "status", "ds/shipper", "--timeout=60s"), /successfully rolled out/);
  assert.deepEqual(await images(), ["naru.local/probe:1", "naru.local/probe:1"]);
  await kubectl("new", "rollout", "undo", "ds/shipper", "--to-revision=2");
  await naru("rollout", "status", "ds/shipper");
  assert.deepEqual(await images(), ["naru.local/probe:2", "naru.local/probe:2"]);
  assert.match(await naru("rollout", "history", "ds/shipper"), /3 .*probe:1[\s\S]*4 .*probe:2/);
});

test("a DaemonSet's pod that is deleted comes back on its node", async () => {
  const [pod] = await podsOf(cluster, "app=shipper");
  await naru("delete", `pod/${pod?.metadata?.name}`);
  const back = await untilReady(cluster, "app=shipper", { count: 2 });
  assert.deepEqual(new Set(back.map(({ spec }) => spec?.nodeName)), new Set(["node-1", "node-2"]));
  assert.ok(back.every(({ metadata }) => metadata?.uid !== pod?.metadata?.uid));
  await naru("delete", "ds/shipper");
  await until("the pods to be gone", async () =>
    (await podsOf(cluster, "app=shipper")).length === 0 ? true : undefined,
  );
});

test("a Job that kubectl creates completes, and its pods' words are there afterwards", async () => {
  await kubectl("new", "create", "job", "greet", "--image=naru.local/probe:1", "--", "/probe", "env", "HOSTNAME");
  await kubectl("old", "wait", "--for=condition=complete", "job/greet", "--timeout=60s");
  assert.match(await naru("logs", "job/greet"), /greet-/);
  const { status } = await cluster.client.get(jobs, { namespace, name: "greet" });
  assert.deepEqual([status?.succeeded, status?.uncountedTerminatedPods], [1, {}]);
});

test("an Indexed Job gives each pod its number, and runs no more at once than it may", async () => {
  const command = ["/probe", "env", "JOB_COMPLETION_INDEX"];
  await cluster.client.create(
    jobs,
    jobOf("each", command, { completions: 5, parallelism: 2, completionMode: "Indexed" }),
  );
  await kubectl("new", "wait", "--for=condition=complete", "job/each", "--timeout=60s");
  const { items } = await cluster.client.list(pods, { namespace, labelSelector: "job-name=each" });
  const said = await Promise.all(items.map(({ metadata }) => naru("logs", metadata?.name ?? "")));
  assert.deepEqual(said.map((text) => text.trim()).sort(), ["0", "1", "2", "3", "4"]);
  await until("no pod to be held", async () => {
    const present = await cluster.client.list(pods, { namespace, labelSelector: "job-name=each" });
    return present.items.every(({ metadata }) => (metadata?.finalizers ?? []).length === 0) ? true : undefined;
  });
});

test("a Job gives up when its failures or its time are too many, and says why", async () => {
  await cluster.client.create(jobs, jobOf("bad", ["/probe", "exit", "3"], { backoffLimit: 0 }));
  const forever = jobOf("late", ["/probe", "sleep", "1000"], {
    activeDeadlineSeconds: 1,
    podReplacementPolicy: "Failed",
  });
  const template = forever.spec?.template ?? {};
  await cluster.client.create(jobs, {
    ...forever,
    spec: {
      ...forever.spec,
      template: {
        spec: { ...template.spec, containers: template.spec?.containers ?? [], terminationGracePeriodSeconds: 1 },
      },
    },
  });
  await kubectl("new", "wait", "--for=condition=failed", "job/bad", "job/late", "--timeout=60s");
  const reason = async (name: string) => {
    const { status } = await cluster.client.get(jobs, { namespace, name });
    return [status?.failed, status?.terminating, status?.conditions?.find(({ type }) => type === "Failed")?.reason];
  };
  assert.deepEqual(
    [await reason("bad"), await reason("late")],
    [
      [1, 0, "BackoffLimitExceeded"],
      [1, 0, "DeadlineExceeded"],
    ],
  );
});

test("a CronJob starts by hand what it would start by the clock, and takes its Jobs and their pods with it", async () => {
  await kubectl(
    "new",
    "create",
    "cronjob",
    "tick",
    "--image=naru.local/probe:1",
    "--schedule=0 0 1 1 *",
    "--",
    "/probe",
    "env",
    "HOSTNAME",
  );
  await kubectl("new", "create", "job", "now", "--from=cronjob/tick");
  await kubectl("new", "wait", "--for=condition=complete", "job/now", "--timeout=60s");
  const { status } = await until("the success to be noted", async () => {
    const cron = await cluster.client.get(cronjobs, { namespace, name: "tick" });
    return cron.status?.lastSuccessfulTime === undefined ? undefined : cron;
  });
  assert.equal(status?.active, undefined);
  await naru("delete", "cronjob/tick");
  await until("its pods to be gone", async () =>
    (await podsOf(cluster, "job-name=now")).length === 0 ? true : undefined,
  );
});
