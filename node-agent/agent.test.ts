// Lives of pods on a simulated node, on virtual time.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Container, Pod, PodSpec, PodStatus } from "../api/kinds/generated/types.ts";
import type { Clock } from "../lib/clock.ts";
import { type VirtualClock, virtualClock } from "../lib/virtual-clock.ts";
import type { Agent } from "./agent.ts";
import { PullError } from "./images/images.ts";
import { openSimulatedRuntime } from "./runtime/simulated.ts";
import { shutdownGroups } from "./shutdown.ts";
import { SimulatedNode, type SimulatedNodeOptions } from "./simulated-node.ts";
import { parseStaticPods } from "./static-pod-file.ts";
import { TestSession } from "./test-session.ts";

interface Scene {
  readonly clock: VirtualClock;
  readonly node: SimulatedNode;
  readonly session: TestSession;
  agent: Agent;
}

async function open(options: Partial<SimulatedNodeOptions> = {}): Promise<Scene> {
  const clock = virtualClock();
  const node = new SimulatedNode({ clock, name: "n1", nodeIp: "192.168.0.1", ...options });
  const session = new TestSession();
  session.put("nodes", { metadata: { name: "n1" }, spec: { podCIDRs: ["10.244.1.0/24"] } });
  return { clock, node, session, agent: await node.startAgent(session) };
}

function pod(spec: Partial<PodSpec> = {}, container: Partial<Container> = {}, name = "web"): Pod {
  return {
    metadata: { name, namespace: "default", uid: `uid-${name}` },
    spec: { containers: [{ name: "main", image: "app:1", ...container }], ...spec },
  };
}

function brief(status: PodStatus | undefined): object {
  const states = [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])].map(
    ({ name, state, restartCount }) => {
      const { waiting, terminated } = state ?? {};
      const what = waiting?.reason ?? (terminated ? `${terminated.reason} ${terminated.exitCode}` : "running");
      return `${name}: ${what}, ${restartCount} restarts`;
    },
  );
  const ready = status?.conditions?.find(({ type }) => type === "Ready")?.status;
  return { phase: status?.phase, ready, states };
}

test("openAgent brings a pod to Ready without waiting for any timer", async () => {
  const { clock, session } = await open();
  session.put("pods", pod());
  await clock.settle();
  const status = session.statuses.get("web");
  assert.deepEqual(
    [brief(status), status?.podIP, status?.qosClass, clock.monotonicMs()],
    [{ phase: "Running", ready: "True", states: ["main: running, 0 restarts"] }, "10.244.1.2", "BestEffort", 0],
  );
  assert.deepEqual(session.eventLines(), [
    'Pulling: Pulling image "app:1"',
    'Pulled: Successfully pulled image "app:1" in 0.000s. Image size: 1000000 bytes.',
    "Created: Container created: main",
    "Started: Container started: main",
  ]);
});

test("openAgent asks a readiness probe again quickly while the container is young", async () => {
  let up = false;
  const { clock, session } = await open({ http: () => (up ? 200 : undefined) });
  session.put("pods", pod({}, { readinessProbe: { httpGet: { port: 80 }, periodSeconds: 10 } }));
  await clock.advance(110);
  const before = brief(session.statuses.get("web"));
  up = true;
  await clock.advance(100);
  assert.deepEqual(
    [before, brief(session.statuses.get("web"))],
    [
      { phase: "Running", ready: "False", states: ["main: running, 0 restarts"] },
      { phase: "Running", ready: "True", states: ["main: running, 0 restarts"] },
    ],
  );
});

test("openAgent restarts a crashing container at once, then with a back-off that doubles", async () => {
  const starts: number[] = [];
  const { clock, session } = await open({
    program: () => {
      starts.push(Math.round(clock.monotonicMs() / 1000));
      return { runMs: 1000, exitCode: 1 };
    },
  });
  session.put("pods", pod());
  await clock.advance(100_000);
  assert.deepEqual(starts, [0, 1, 12, 33, 74]);
  const status = session.statuses.get("web");
  assert.deepEqual(brief(status), {
    phase: "Running",
    ready: "False",
    states: ["main: CrashLoopBackOff, 4 restarts"],
  });
  assert.deepEqual(
    status?.containerStatuses?.[0]?.state?.waiting?.message,
    "back-off 1m20s restarting failed container=main pod=web_default(uid-web)",
  );
  assert.equal(status?.containerStatuses?.[0]?.lastState?.terminated?.exitCode, 1);
});

test("openAgent restarts a crashing container although timers are a moment early and time goes on while it looks", async () => {
  const base = virtualClock();
  let looks = 0;
  const clock: Clock = {
    now: () => base.now() + (looks++ % 2),
    monotonicMs: base.monotonicMs,
    after: (delayMs, run) => base.after(Math.max(0, delayMs - 1), run),
  };
  const node = new SimulatedNode({
    clock,
    name: "n1",
    nodeIp: "192.168.0.1",
    program: () => ({ runMs: 1000, exitCode: 1 }),
  });
  const session = new TestSession();
  session.put("nodes", { metadata: { name: "n1" }, spec: { podCIDRs: ["10.244.1.0/24"] } });
  await node.startAgent(session);
  for (let i = 0; i < 40; i++) session.put("pods", pod({}, {}, `web-${i}`));
  await base.advance(100_000);
  const restarts = Array.from(
    { length: 40 },
    (_, i) => session.statuses.get(`web-${i}`)?.containerStatuses?.[0]?.restartCount,
  );
  assert.deepEqual(new Set(restarts), new Set([4]));
});

test("openAgent runs init containers one after the other before the rest", async () => {
  const order: string[] = [];
  const { clock, session } = await open({
    program: ([name = ""]) => {
      order.push(`${name} at ${clock.monotonicMs()}`);
      return name === "run" ? {} : { runMs: 100 };
    },
  });
  const init = (name: string): Container => ({ name, image: "tool:1", command: [name] });
  session.put("pods", pod({ initContainers: [init("one"), init("two")] }, { command: ["run"] }));
  await clock.advance(1000);
  assert.deepEqual(order, ["one at 0", "two at 100", "run at 200"]);
  assert.deepEqual(brief(session.statuses.get("web")), {
    phase: "Running",
    ready: "True",
    states: ["one: Completed 0, 0 restarts", "two: Completed 0, 0 restarts", "main: running, 0 restarts"],
  });
});

test("openAgent calls a pod Succeeded or Failed when its containers have ended for good", async () => {
  const { clock, session, node } = await open({
    program: ([name]) => ({ runMs: 10, exitCode: name === "bad" ? 3 : 0, oomKilled: name === "bad" }),
  });
  session.put("pods", pod({ restartPolicy: "Never" }, {}, "good"));
  session.put("pods", pod({ restartPolicy: "Never" }, { command: ["bad"] }, "bad"));
  await clock.advance(1000);
  assert.deepEqual(
    [brief(session.statuses.get("good")), brief(session.statuses.get("bad"))],
    [
      { phase: "Succeeded", ready: "False", states: ["main: Completed 0, 0 restarts"] },
      { phase: "Failed", ready: "False", states: ["main: OOMKilled 3, 0 restarts"] },
    ],
  );
  assert.deepEqual([node.machine.sandboxes.size, node.links.pods.size, node.machine.processes.size], [0, 0, 2]);
});

test("openAgent says why an image cannot be had, and backs off", async () => {
  const { clock, session } = await open({
    registry: () => {
      throw new PullError("RegistryUnavailable", "registry.local:5000 does not answer");
    },
  });
  session.put("pods", pod());
  await clock.advance(100);
  const first = session.statuses.get("web")?.containerStatuses?.[0]?.state?.waiting;
  await clock.advance(2000);
  const then = session.statuses.get("web")?.containerStatuses?.[0]?.state?.waiting;
  assert.deepEqual(
    [first, then],
    [
      { reason: "ErrImagePull", message: 'failed to pull image "app:1": registry.local:5000 does not answer' },
      {
        reason: "ImagePullBackOff",
        message:
          'Back-off pulling image "app:1": ErrImagePull: failed to pull image "app:1": registry.local:5000 does not answer',
      },
    ],
  );
});

test("openAgent names a missing ConfigMap, and goes on as soon as it is there", async () => {
  const { clock, session } = await open();
  session.put("pods", pod({}, { envFrom: [{ configMapRef: { name: "settings" } }] }));
  await clock.advance(100);
  const before = session.statuses.get("web")?.containerStatuses?.[0]?.state?.waiting;
  session.put("configmaps", { metadata: { name: "settings", namespace: "default" }, data: { A: "1" } });
  await clock.settle();
  assert.deepEqual(
    [before, brief(session.statuses.get("web"))],
    [
      { reason: "CreateContainerConfigError", message: 'configmap "settings" not found' },
      { phase: "Running", ready: "True", states: ["main: running, 0 restarts"] },
    ],
  );
});

test("openAgent reports a program that is not there as StartError", async () => {
  const { clock, session } = await open({ program: () => undefined });
  session.put("pods", pod({ restartPolicy: "Never" }));
  await clock.advance(100);
  const terminated = session.statuses.get("web")?.containerStatuses?.[0]?.state?.terminated;
  assert.deepEqual(
    [terminated?.reason, terminated?.exitCode, terminated?.message],
    ["StartError", 127, "exec /app: no such file or directory"],
  );
});

test("openAgent restarts a container whose liveness probe fails", async () => {
  let alive = true;
  const { clock, session } = await open({ http: () => (alive ? 200 : 500) });
  session.put("pods", pod({}, { livenessProbe: { httpGet: { port: 80 }, periodSeconds: 1, failureThreshold: 2 } }));
  await clock.advance(5000);
  alive = false;
  await clock.advance(2500);
  alive = true;
  await clock.advance(5000);
  assert.deepEqual(brief(session.statuses.get("web")), {
    phase: "Running",
    ready: "True",
    states: ["main: running, 1 restarts"],
  });
  assert.deepEqual(
    session.eventLines().filter((line) => /^(Unhealthy|Killing)/.test(line)),
    [
      "Unhealthy: Liveness probe failed: HTTP probe failed with statuscode: 500",
      "Unhealthy: Liveness probe failed: HTTP probe failed with statuscode: 500",
      "Killing: Container main failed liveness probe, will be restarted",
    ],
  );
});

test("openAgent ends a deleted pod with its grace period, kills what stays, and leaves nothing", async () => {
  const { clock, session, node } = await open({ program: () => ({ onSignal: "ignore" }) });
  session.put("pods", pod());
  await clock.settle();
  session.delete(pod(), 5);
  await clock.advance(4900);
  const before = node.machine.processes.size;
  await clock.advance(200);
  assert.deepEqual(
    [
      before,
      session.gone,
      node.machine.processes.size,
      node.machine.sandboxes.size,
      node.links.pods.size,
      node.checkpoints.size,
    ],
    [1, ["web"], 0, 0, 0, 0],
  );
});

test("openAgent lets go of a pull when its pod is deleted", async () => {
  const { clock, session, node } = await open({ pullMs: () => 60_000 });
  session.put("pods", pod());
  await clock.advance(1000);
  session.delete(pod(), 30);
  await clock.advance(61_000);
  assert.deepEqual([session.gone, node.machine.processes.size], [["web"], 0]);
});

test("openAgent adopts what an earlier agent ran, without a restart and without a flap", async () => {
  const scene = await open({ http: () => 200 });
  const { clock, session, node } = scene;
  session.put("pods", pod({}, { readinessProbe: { httpGet: { port: 80 } } }));
  await clock.advance(1000);
  const [process] = [...node.machine.processes.values()];
  const status = session.statuses.get("web");
  // Killed without a word; the server echoes what it knows.
  scene.agent.close();
  const next = new TestSession({ synced: false });
  const known = { ...pod({}, { readinessProbe: { httpGet: { port: 80 } } }), status: status ?? {} };
  node.checkpoints.set("uid-web", known);
  const agent = await node.startAgent(next);
  await clock.advance(100);
  const unheard = agent.worker("uid-web")?.containers[0]?.now.phase;
  next.put("nodes", { metadata: { name: "n1" }, spec: { podCIDRs: ["10.244.1.0/24"] } });
  next.put("pods", known);
  next.sync();
  await clock.advance(60_000);
  assert.deepEqual(
    [
      unheard,
      [...node.machine.processes.values()].map(({ state }) => state),
      next.statuses.get("web") ?? status,
      next.gone,
    ],
    ["Running", [process?.state], status, []],
  );
});

test("openAgent keeps a pod's containers in the cgroup that an earlier agent gave it", async () => {
  const scene = await open();
  const { clock, node, session } = scene;
  session.put("pods", pod());
  await clock.advance(1000);
  const paths = () => [...node.machine.processes.values()].map(({ spec }) => spec.cgroupPath);
  const ours = paths();
  scene.agent.close();
  for (const [id, one] of node.machine.processes)
    node.machine.processes.set(id, { ...one, spec: { ...one.spec, cgroupPath: "poduid-web/uid-web.main.0" } });
  await node.startAgent(session);
  await clock.advance(1000);
  const runtime = openSimulatedRuntime(node.machine, { clock, program: () => ({}) });
  await runtime.signal("uid-web.main.0", 9);
  await clock.advance(60_000);
  assert.deepEqual(
    [ours, paths().toSorted()],
    [["besteffort/poduid-web/uid-web.main.0"], ["poduid-web/uid-web.main.0", "poduid-web/uid-web.main.1"]],
  );
});

test("openAgent removes what runs for pods that are gone when it comes back", async () => {
  const scene = await open();
  const { clock, session, node } = scene;
  session.put("pods", pod({}, {}, "old"));
  session.put("pods", pod({}, {}, "same"));
  await clock.advance(1000);
  scene.agent.close();
  const next = new TestSession({ synced: false });
  const agent = await node.startAgent(next);
  next.put("nodes", { metadata: { name: "n1" }, spec: { podCIDRs: ["10.244.1.0/24"] } });
  next.put("pods", { ...pod({}, {}, "same"), metadata: { name: "same", namespace: "default", uid: "another" } });
  await clock.advance(10);
  const beforeSync = node.machine.sandboxes.has("uid-old");
  next.sync();
  await clock.advance(5000);
  assert.deepEqual(
    [beforeSync, [...node.machine.sandboxes.keys()], [...node.links.pods.keys()], agent.workers.map(({ uid }) => uid)],
    [true, ["another"], ["another"], ["another"]],
  );
});

test("openAgent restarts containers while no server can be heard", async () => {
  const scene = await open({ program: () => ({ runMs: 5000, exitCode: 1 }) });
  const { clock, session, node } = scene;
  session.put("configmaps", { metadata: { name: "settings", namespace: "default" }, data: { A: "1" } });
  session.put("pods", pod({}, { envFrom: [{ configMapRef: { name: "settings" } }] }));
  await clock.advance(1000);
  scene.agent.close();
  const next = new TestSession({ synced: false });
  await node.startAgent(next);
  await clock.advance(5000);
  const [main] = next.statuses.get("web")?.containerStatuses ?? [];
  assert.deepEqual([main?.restartCount, main?.state?.running !== undefined], [1, true]);
});

test("openAgent tells how a container's volumes are mounted, once it has run", async () => {
  const { clock, session } = await open();
  const volumes = [{ name: "v", emptyDir: {} }];
  const volumeMounts = [
    { name: "v", mountPath: "/rw" },
    { name: "v", mountPath: "/ro", readOnly: true },
    { name: "v", mountPath: "/rro", readOnly: true, recursiveReadOnly: "IfPossible" },
  ];
  session.put("pods", pod({ volumes }, { volumeMounts }));
  await clock.advance(1000);
  assert.deepEqual(session.statuses.get("web")?.containerStatuses?.[0]?.volumeMounts, [
    { name: "v", mountPath: "/rw" },
    { name: "v", mountPath: "/ro", readOnly: true, recursiveReadOnly: "Disabled" },
    { name: "v", mountPath: "/rro", readOnly: true, recursiveReadOnly: "Enabled" },
  ]);
});

test("openAgent ends a pod at its active deadline", async () => {
  const { clock, session } = await open();
  session.put("pods", pod({ activeDeadlineSeconds: 5 }));
  await clock.advance(6000);
  const { phase, reason } = session.statuses.get("web") ?? {};
  const events = session.eventLines().filter((text) => text.startsWith("DeadlineExceeded"));
  assert.deepEqual(
    { phase, reason, events },
    {
      phase: "Failed",
      reason: "DeadlineExceeded",
      events: ["DeadlineExceeded: Pod was active on the node longer than the specified deadline"],
    },
  );
});

test("stopPods ends everything and reports none of it", async () => {
  const { clock, session, node, agent } = await open();
  for (const name of ["a", "b", "c"]) session.put("pods", pod({}, {}, name));
  await clock.advance(1000);
  const stopped = agent.stopPods(10_000);
  await clock.advance(3000);
  await stopped;
  assert.deepEqual([session.gone, node.machine.processes.size, node.machine.sandboxes.size], [[], 0, 0]);
});

test("stopPods gives pods their own time up to a bound, and none once they are hurried", async () => {
  const { clock, session, agent, node } = await open({ program: () => ({ onSignal: "ignore" }) });
  session.put("pods", pod({ terminationGracePeriodSeconds: 3 }, {}, "short"));
  session.put("pods", pod({ terminationGracePeriodSeconds: 60 }, {}, "bound"));
  await clock.advance(1000);
  const hurry = new AbortController();
  const stopped = agent.stopPods(10_000, hurry.signal);
  const running = () => [...node.machine.processes.values()].filter(({ state }) => state.status === "running").length;
  const seen: number[] = [];
  for (const ms of [2900, 200, 1000]) {
    await clock.advance(ms);
    seen.push(running());
  }
  hurry.abort();
  await clock.advance(100);
  await stopped;
  assert.deepEqual([seen, node.machine.processes.size], [[2, 1, 1], 0]);
});

test("shutDown fails pods in their grace periods, critical ones last, and refuses new ones", async () => {
  const { clock, session, agent } = await open({ program: () => ({ onSignal: "ignore" }) });
  session.put("pods", pod({ terminationGracePeriodSeconds: 5 }, {}, "web"));
  session.put("pods", pod({ terminationGracePeriodSeconds: 100, priority: 2_000_000_000 }, {}, "dns"));
  await clock.advance(1000);
  const down = agent.shutDown(shutdownGroups(30_000, 10_000));
  const phases = () => ["web", "dns", "late"].map((name) => session.statuses.get(name)?.phase);
  await clock.advance(4000);
  const before = phases();
  await clock.advance(3000);
  const webEnded = phases();
  session.put("pods", pod({}, {}, "late"));
  await clock.advance(12_000);
  await down;
  const { reason, conditions = [] } = session.statuses.get("dns") ?? {};
  const target = conditions.find(({ type }) => type === "DisruptionTarget")?.reason;
  assert.deepEqual(
    [before, webEnded, phases(), reason, target, agent.shuttingDown],
    [
      ["Running", "Running", undefined],
      ["Failed", "Running", undefined],
      ["Failed", "Failed", "Failed"],
      "Terminated",
      "TerminationByKubelet",
      true,
    ],
  );
});

test("setStaticPods runs what files ask for, shows it by its mirror, and follows the files alone", async () => {
  const { clock, session, agent, node } = await open();
  const read = (image: string) =>
    parseStaticPods(JSON.stringify({ ...pod({}, { image }, "web"), apiVersion: "v1", kind: "Pod" }), {
      path: "/m/web.json",
      nodeName: "n1",
    });
  const running = () =>
    [...node.machine.processes.values()].map(({ spec, state }) => [spec.labels["naru.pod/image"], state.status]);
  agent.setStaticPods(read("web:1"));
  await clock.advance(1000);
  const [mirror] = session.mirrors;
  const before = [running(), session.statuses.size, session.mirrors.map(({ metadata }) => metadata?.name)];
  const shown = { ...mirror, metadata: { ...mirror?.metadata, uid: "mirror" } };
  session.put("pods", shown);
  await clock.advance(100);
  const phase = session.statuses.get("web-n1")?.phase;
  session.delete(shown, 1);
  await clock.advance(5000);
  const deleted = [running(), [...session.gone], agent.worker("mirror")?.uid === agent.workers[0]?.uid];
  agent.setStaticPods(read("web:2"));
  await clock.advance(5000);
  const changed = running();
  agent.setStaticPods([]);
  await clock.advance(5000);
  assert.deepEqual(
    [before, phase, deleted, changed, running(), node.machine.sandboxes.size],
    [
      [[["web:1", "running"]], 0, ["web-n1"]],
      "Running",
      [[["web:1", "running"]], ["web-n1"], true],
      [["web:2", "running"]],
      [],
      0,
    ],
  );
});

// Every step that touches the machine fails once, in turn: the pod comes up all the same, and nothing is left of it in the end.
for (const failing of ["createSandbox", "create", "start", "remove", "removeSandbox"] as const) {
  test(`openAgent gets over a ${failing} that fails`, async () => {
    let failures = 0;
    const { clock, session, node } = await open({
      failRuntime: (step) => {
        if (step === failing && failures++ === 0) throw new Error("injected");
      },
    });
    session.put("pods", pod());
    await clock.advance(30_000);
    const ready = brief(session.statuses.get("web"));
    session.delete(pod(), 1);
    await clock.advance(60_000);
    assert.deepEqual(
      [failures > 0, ready, session.gone, node.machine.processes.size, node.machine.sandboxes.size],
      [true, { phase: "Running", ready: "True", states: ["main: running, 0 restarts"] }, ["web"], 0, 0],
    );
  });
}

// The agent dies after each step in turn; the next one goes on from what it finds.
test("openAgent goes on from wherever an earlier agent was killed", async () => {
  for (let step = 0; step < 40; step++) {
    let left = step;
    const killed = new Error("killed");
    const scene = await open({
      startMs: () => 5,
      failRuntime: () => {
        // Nothing that the old agent does after its death reaches the machine.
        if (left-- <= 0) throw killed;
      },
    });
    const { clock, session, node } = scene;
    session.put("pods", pod());
    await clock.advance(step);
    scene.agent.close();
    left = Number.POSITIVE_INFINITY;
    const next = new TestSession();
    next.put("nodes", { metadata: { name: "n1" }, spec: { podCIDRs: ["10.244.1.0/24"] } });
    next.put("pods", pod());
    await node.startAgent(next);
    await clock.advance(20_000);
    const running = [...node.machine.processes.values()].filter(({ state }) => state.status === "running").length;
    next.delete(pod(), 1);
    await clock.advance(20_000);
    assert.deepEqual(
      [step, running, next.gone, node.machine.processes.size, node.machine.sandboxes.size, node.links.pods.size],
      [step, 1, ["web"], 0, 0, 0],
    );
  }
});

test("openAgent makes a pod by its RuntimeClass's handler, and says which class or handler is not there", async () => {
  const { clock, node, session } = await open();
  session.put("runtimeclasses", { metadata: { name: "own" }, handler: "naru" });
  session.put("runtimeclasses", { metadata: { name: "vm" }, handler: "kata" });
  for (const name of ["own", "vm", "absent"]) session.put("pods", pod({ runtimeClassName: name }, {}, name));
  await clock.advance(400);
  const before = brief(session.statuses.get("vm"));
  // A class that comes later is enough.
  session.put("runtimeclasses", { metadata: { name: "absent" }, handler: "naru" });
  await clock.settle();
  assert.deepEqual(
    {
      before,
      states: ["own", "absent"].map((name) => brief(session.statuses.get(name))),
      made: [...node.machine.processes.values()].map(({ spec }) => spec.runtime),
      events: session
        .eventLines()
        .filter((line) => line.startsWith("Failed"))
        .toSorted(),
    },
    {
      before: { phase: "Pending", ready: "False", states: ["main: ContainerCreating, 0 restarts"] },
      states: [
        { phase: "Running", ready: "True", states: ["main: running, 0 restarts"] },
        { phase: "Running", ready: "True", states: ["main: running, 0 restarts"] },
      ],
      made: ["naru", "naru"],
      events: [
        'FailedCreatePodSandBox: Failed to create pod sandbox: failed to get sandbox runtime: no runtime for "kata" is configured, this node has naru',
        'FailedCreatePodSandBox: Failed to create pod sandbox: failed to lookup RuntimeClass absent: runtimeclass.node.k8s.io "absent" not found',
      ],
    },
  );
});

test("openAgent goes on with the handler that a pod's containers began with, whatever becomes of its class", async () => {
  const scene = await open({ program: () => ({ runMs: 3000, exitCode: 1 }) });
  const { clock, node, session } = scene;
  session.put("runtimeclasses", { metadata: { name: "own" }, handler: "naru" });
  session.put("pods", pod({ runtimeClassName: "own" }));
  await clock.advance(500);
  scene.agent.close();
  session.remove("runtimeclasses", "own");
  scene.agent = await node.startAgent(session);
  await clock.advance(5000);
  const { restartCount, state } = session.statuses.get("web")?.containerStatuses?.[0] ?? {};
  assert.deepEqual(
    [restartCount, state?.running !== undefined, [...node.machine.processes.values()].map(({ spec }) => spec.runtime)],
    [1, true, ["naru", "naru"]],
  );
});

test("openAgent gives static pods the overhead of their RuntimeClass, or says that they want another", async () => {
  const { clock, node, session, agent } = await open();
  const file = (name: string, overhead: string) =>
    `{ apiVersion: v1, kind: Pod, metadata: { name: ${name} }, spec: { runtimeClassName: own${overhead}, containers: [{ name: c, image: i, resources: { limits: { memory: 1Mi } } }] } }`;
  const texts = [file("plain", ""), file("other", ", overhead: { memory: 9Mi }")];
  agent.setStaticPods(texts.flatMap((text) => parseStaticPods(text, { path: "/m", nodeName: "n1" })));
  await clock.settle();
  const before = node.machine.processes.size;
  agent.setStaticPods(parseStaticPods(texts[0] ?? "", { path: "/m", nodeName: "n1" }));
  await clock.advance(1000);
  session.put("runtimeclasses", {
    metadata: { name: "own" },
    handler: "naru",
    overhead: { podFixed: { memory: "2Mi" } },
  });
  agent.setStaticPods(texts.flatMap((text) => parseStaticPods(text, { path: "/m", nodeName: "n1" })));
  await clock.settle();
  const made = [...node.machine.processes.values()].map(({ spec }) => spec.resourcesAbove?.memoryBytesMax);
  assert.deepEqual({ before, made }, { before: 0, made: [3 << 20] });
});

test("openAgent begins a pod anew, init containers and all, when a container ends as its rules say", async () => {
  const rules = [{ action: "RestartAllContainers", exitCodes: { operator: "In", values: [88] } }];
  let runs = 0;
  const { clock, session } = await open({
    program: (args) => {
      if (args[0] === "init") return { runMs: 10, exitCode: 0 };
      return args[0] === "watch" && runs++ === 0 ? { runMs: 100, exitCode: 88 } : {};
    },
  });
  session.put("pods", {
    ...pod({
      restartPolicy: "Never",
      initContainers: [{ name: "init", image: "i", command: ["init"] }],
      containers: [
        { name: "watch", image: "i", command: ["watch"], restartPolicy: "Never", restartPolicyRules: rules },
        { name: "main", image: "i", command: ["main"] },
      ],
    }),
  });
  await clock.advance(50);
  const before = brief(session.statuses.get("web"));
  await clock.advance(3000);
  const status = session.statuses.get("web");
  assert.deepEqual(
    {
      before,
      after: brief(status),
      left: status?.conditions?.some(({ type }) => type === "AllContainersRestarting"),
      last: status?.containerStatuses?.map(({ lastState }) => lastState?.terminated?.exitCode),
      ip: status?.podIP,
    },
    {
      before: {
        phase: "Running",
        ready: "True",
        states: ["init: Completed 0, 0 restarts", "watch: running, 0 restarts", "main: running, 0 restarts"],
      },
      after: {
        phase: "Running",
        ready: "True",
        states: ["init: Completed 0, 1 restarts", "watch: running, 1 restarts", "main: running, 1 restarts"],
      },
      left: false,
      last: [88, 137],
      ip: "10.244.1.2",
    },
  );
});

test("openAgent rejects a pod that asks for AppArmor where the kernel has none", async () => {
  const { clock, session } = await open();
  session.put("pods", pod({ securityContext: { appArmorProfile: { type: "RuntimeDefault" } } }));
  await clock.advance(200);
  const { phase, reason, message } = session.statuses.get("web") ?? {};
  assert.deepEqual(
    { phase, reason, message },
    {
      phase: "Failed",
      reason: "AppArmor",
      message: "Pod was rejected: Cannot enforce AppArmor: AppArmor is not enabled on the host",
    },
  );
  assert.deepEqual(session.eventLines(), ["AppArmor: Cannot enforce AppArmor: AppArmor is not enabled on the host"]);
});

test("openAgent rejects pods that do not fit beside those it has, and takes others", async () => {
  const { clock, session } = await open();
  const asking = (name: string, cpu: string) => ({
    ...pod({ containers: [{ name: "main", image: "demo", resources: { requests: { cpu } } }] }),
    metadata: { name, namespace: "default", uid: name },
  });
  for (const [name, cpu] of [
    ["first", "3"],
    ["second", "2"],
    ["third", "1"],
  ] as const)
    session.put("pods", asking(name, cpu));
  await clock.advance(200);
  assert.deepEqual(
    ["first", "second", "third"].map((name) => {
      const { phase, reason, message } = session.statuses.get(name) ?? {};
      return [phase, reason, message];
    }),
    [
      ["Running", undefined, undefined],
      [
        "Failed",
        "OutOfcpu",
        "Pod was rejected: Node didn't have enough resource: cpu, requested: 2000, used: 3000, capacity: 4000",
      ],
      ["Running", undefined, undefined],
    ],
  );
});

test("openAgent tells a pod's files of resources that it was given while it runs, not of those it only wants", async () => {
  const { clock, node, session } = await open();
  const sized = (cpu: string) => pod({}, { resources: { requests: { cpu }, limits: { cpu } } });
  for (const cpu of ["100m", "200m", "100"]) {
    session.put("pods", sized(cpu));
    await clock.settle();
  }
  session.put("pods", { ...sized("100"), metadata: { ...sized("100").metadata, labels: { a: "b" } } });
  await clock.settle();
  assert.deepEqual(
    node.refreshed.map(({ metadata, spec }) => [metadata?.labels, spec?.containers[0]?.resources?.limits]),
    [
      [undefined, { cpu: "200m" }],
      [{ a: "b" }, { cpu: "200m" }],
    ],
  );
});

test("openAgent runs a pod's init containers again after its node lost all of it", async () => {
  const order: string[] = [];
  const { clock, node, session, agent } = await open({
    program: ([name = ""]) => {
      order.push(name);
      return name === "init" ? { runMs: 500 } : {};
    },
  });
  const web = pod(
    {
      initContainers: [
        { name: "init", image: "i", command: ["init"] },
        { name: "side", image: "i", command: ["side"], restartPolicy: "Always" },
      ],
    },
    { command: ["main"] },
  );
  session.put("pods", web);
  await clock.advance(1000);
  const status = session.statuses.get("web") ?? {};
  agent.close();
  node.powerOff();
  const next = new TestSession();
  next.put("nodes", { metadata: { name: "n1" }, spec: { podCIDRs: ["10.244.1.0/24"] } });
  next.put("pods", { ...web, status });
  await node.startAgent(next);
  await clock.advance(300);
  const between = brief(next.statuses.get("web"));
  await clock.advance(1000);
  assert.deepEqual(
    { order, between, after: brief(next.statuses.get("web")) },
    {
      order: ["init", "side", "main", "init", "side", "main"],
      between: {
        phase: "Running",
        ready: "False",
        states: [
          "init: running, 1 restarts",
          "side: ContainerCreating, 1 restarts",
          "main: PodInitializing, 1 restarts",
        ],
      },
      after: {
        phase: "Running",
        ready: "True",
        states: ["init: Completed 0, 1 restarts", "side: running, 1 restarts", "main: running, 1 restarts"],
      },
    },
  );
});

test("openAgent begins all hooks of a pod's end together, and ends sidecars when the rest has ended", async () => {
  const { clock, node, session } = await open();
  const sleeping = (name: string, seconds: number): Container => ({
    ...{ name, image: "i", command: [name] },
    lifecycle: { preStop: { sleep: { seconds } } },
  });
  const web = pod({
    terminationGracePeriodSeconds: 10,
    initContainers: [
      { ...sleeping("slow", 5), restartPolicy: "Always" },
      { ...sleeping("quick", 1), restartPolicy: "Always" },
      { ...sleeping("endless", 60), restartPolicy: "Always" },
    ],
    containers: [sleeping("main", 3)],
  });
  session.put("pods", web);
  await clock.advance(100);
  const start = clock.monotonicMs();
  const running = () =>
    [...node.machine.processes.values()]
      .filter(({ state }) => state.status === "running")
      .map(({ spec }) => spec.args[0]);
  session.delete(web, 10);
  const seen: string[] = [];
  const see = (what: string) => seen.push(`${Math.floor((clock.monotonicMs() - start) / 1000)} s: ${what}`);
  for (let last = ""; !session.gone.includes("web"); await clock.advance(500)) {
    const now = running().join();
    if (now !== last) see(now);
    last = now;
  }
  see("gone");
  assert.deepEqual(seen, ["0 s: slow,quick,endless,main", "3 s: slow,quick,endless", "10 s: gone"]);
});

test("openAgent complains of a claim's volume only when it does not come", async () => {
  const { clock, session } = await open();
  const claim = (name: string, volumeName?: string) => ({
    metadata: { name, namespace: "default" },
    spec: volumeName === undefined ? {} : { volumeName },
  });
  for (const name of ["soon", "never"]) {
    session.put("persistentvolumeclaims", claim(name));
    session.put("pods", pod({ volumes: [{ name: "v", persistentVolumeClaim: { claimName: name } }] }, {}, name));
  }
  await clock.advance(100);
  session.put("persistentvolumeclaims", claim("soon", "pv"));
  await clock.advance(1000);
  const complaints = () => session.eventLines().filter((line) => line.startsWith("FailedMount"));
  const before = [brief(session.statuses.get("soon")), complaints()];
  await clock.advance(10_000);
  assert.deepEqual(
    [before, complaints()],
    [
      [{ phase: "Running", ready: "True", states: ["main: running, 0 restarts"] }, []],
      ['FailedMount: persistentvolumeclaim "never" is not bound to a volume yet'],
    ],
  );
});
