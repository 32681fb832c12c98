// A lean agent: the real session with the server, over a machine whose containers are entries in a map.
import type { Node, Pod, PodStatus } from "../../api/kinds/generated/types.ts";
import { keyOf } from "../../api/kinds/resource.ts";
import { timestamp } from "../../lib/clock.ts";
import type { Logger } from "../../lib/log.ts";
import { fraction, type Random } from "../../lib/random.ts";
import { openSession } from "../../node-agent/session.ts";
import type { PodName } from "../../node-agent/session-types.ts";
import type { SessionTransport } from "../../proto/transport.ts";
import type { Process } from "./process.ts";

export type Phase = "starting" | "running" | "crashed" | "stopping";

/** A pod's containers on a machine; they outlive the agent, not the machine. */
export interface Sandbox {
  readonly pod: Pod;
  readonly ip: string;
  phase: Phase;
  restarts: number;
  startedMs: number;
}

export interface Machine {
  readonly name: string;
  readonly node: Node;
  /** By the pod's uid. */
  readonly sandboxes: Map<string, Sandbox>;
  addressesGiven: number;
}

export interface AgentParts {
  readonly machine: Machine;
  readonly process: Process;
  readonly transport: SessionTransport;
  readonly random: Random;
  readonly log: Logger;
  readonly note: (...what: readonly string[]) => void;
}

export interface Agent {
  /** One running container of the machine ends with an error. */
  crashContainer(): void;
  /** Announces a planned stop. */
  goodbye(backWithinMs: number): Promise<void>;
}

const startMsMax = 300;
const stopMsMax = 400;
const restartMs = 500;

export function startAgent({ machine, process, transport, random, log, note }: AgentParts): Agent {
  const { clock } = process;
  const { sandboxes } = machine;
  const session = openSession(
    {
      node: () => machine.node,
      agentVersion: "simulated",
      runningPodUids: () => [...sandboxes.keys()],
      onStream: async () => ({ exitCode: 1, error: "simulated" }),
    },
    { transport, clock, random, log },
  );
  const { cache, reports } = session;

  const report = (sandbox: Sandbox) => reports.podStatus(nameOf(sandbox.pod), statusOf(sandbox, clock.now()));

  const start = (pod: Pod) => {
    const uid = pod.metadata?.uid ?? "";
    const ip = `10.244.${Number(machine.name.split("-")[1])}.${(machine.addressesGiven++ % 250) + 2}`;
    const sandbox: Sandbox = { pod, ip, phase: "starting", restarts: 0, startedMs: 0 };
    sandboxes.set(uid, sandbox);
    note("start", keyOf(pod), uid);
    begin(uid, fraction(random) * startMsMax);
  };

  // Also for a sandbox whose start or restart was cut short by the agent's end.
  const begin = (uid: string, afterMs: number) => {
    clock.after(afterMs, () => {
      const sandbox = sandboxes.get(uid);
      if (sandbox === undefined || sandbox.phase === "running" || sandbox.phase === "stopping") return;
      sandbox.phase = "running";
      sandbox.startedMs = clock.now();
      note("running", keyOf(sandbox.pod));
      report(sandbox);
    });
  };

  const stop = (uid: string, sandbox: Sandbox) => {
    if (sandbox.phase === "stopping") return;
    sandbox.phase = "stopping";
    note("stop", keyOf(sandbox.pod), uid);
    finish(uid, sandbox);
  };
  const finish = (uid: string, sandbox: Sandbox) => {
    clock.after(fraction(random) * stopMsMax, () => {
      sandboxes.delete(uid);
      note("gone", keyOf(sandbox.pod), uid);
      reports.podGone(nameOf(sandbox.pod));
    });
  };

  // Looks at the present of one key: what is wanted, what is here.
  const look = (key: string) => {
    if (!cache.synced) return;
    const pod = cache.get("pods", key);
    const uid = pod?.metadata?.uid;
    for (const [other, sandbox] of sandboxes) if (other !== uid && keyOf(sandbox.pod) === key) stop(other, sandbox);
    if (pod === undefined || uid === undefined) return;
    const sandbox = sandboxes.get(uid);
    if (pod.metadata?.deletionTimestamp === undefined) {
      if (sandbox === undefined) start(pod);
    } else if (sandbox === undefined) reports.podGone(nameOf(pod));
    else stop(uid, sandbox);
  };

  cache.onChange((resource, key) => {
    if (resource === "pods") look(key);
  });
  cache.onSynced(() => {
    for (const pod of cache.list("pods")) look(keyOf(pod));
    for (const sandbox of [...sandboxes.values()]) look(keyOf(sandbox.pod));
  });

  // What a former agent left is taken over.
  for (const [uid, sandbox] of sandboxes) {
    if (sandbox.phase === "stopping") finish(uid, sandbox);
    else if (sandbox.phase === "running") report(sandbox);
    else begin(uid, fraction(random) * startMsMax);
  }
  void session.run(new AbortController().signal);

  return {
    goodbye: session.goodbye,
    crashContainer: () => {
      const running = [...sandboxes].find(([, { phase }]) => phase === "running");
      if (running === undefined) return;
      const [uid, sandbox] = running;
      sandbox.phase = "crashed";
      sandbox.restarts++;
      report(sandbox);
      begin(uid, restartMs);
    },
  };
}

function nameOf({ metadata }: Pod): PodName {
  const { namespace = "", name = "", uid = "" } = metadata ?? {};
  return { namespace, name, uid };
}

function statusOf({ pod, ip, phase, restarts, startedMs }: Sandbox, nowMs: number): PodStatus {
  const isUp = phase === "running";
  const condition = (type: string) => ({
    type,
    status: isUp ? "True" : "False",
    lastTransitionTime: timestamp(isUp ? startedMs : nowMs),
  });
  return {
    phase: "Running",
    podIP: ip,
    podIPs: [{ ip }],
    conditions: [condition("ContainersReady"), condition("Ready")],
    containerStatuses: (pod.spec?.containers ?? []).map(({ name, image = "" }) => ({
      name,
      image,
      imageID: "",
      ready: isUp,
      restartCount: restarts,
      state: isUp
        ? { running: { startedAt: timestamp(startedMs) } }
        : { terminated: { exitCode: 1, finishedAt: timestamp(nowMs) } },
    })),
  };
}
