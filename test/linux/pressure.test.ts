// Floods from inside a pod, on a node with a small disk and little memory of its own: the node lives on, other pods go on, and the pod
// that flooded is the one that pays.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Container, Pod, PodStatus } from "../../api/kinds/generated/types.ts";
import { realClock, sleep } from "../../lib/clock.ts";
import { readLoad } from "../../node-agent/node-status.ts";
import { NodeRig, type NodeRigOptions } from "./node-rig.ts";

const amount = /\d+(?:Ki|Mi|Gi)?/g;

function podOf(name: string, command: readonly string[], container: Partial<Container> = {}): Pod {
  const image = { name: "main", image: "naru.local/probe:1", imagePullPolicy: "Never" };
  return {
    metadata: { name, namespace: "default", uid: `uid-${name}` },
    spec: { restartPolicy: "Always", containers: [{ ...image, command, ...container }] },
  };
}

const isRunning = ({ containerStatuses = [] }: PodStatus) => containerStatuses[0]?.state?.running !== undefined;

async function openNode(options: NodeRigOptions): Promise<NodeRig> {
  const node = new NodeRig(options);
  await node.find((message) => message.is === "ready");
  node.send({ do: "put", pod: podOf("quiet", ["/probe", "sleep"], { resources: { requests: { memory: "8Mi" } } }) });
  await node.status("quiet", isRunning);
  return node;
}

/** Of a pod that is evicted: what its status says, with every number that is measured as N. */
async function evictionOf(node: NodeRig, name: string): Promise<object> {
  const { reason, message, conditions = [] } = await node.status(name, ({ phase }) => phase === "Failed");
  const target = conditions.find(({ type }) => type === "DisruptionTarget");
  return { reason, message: message?.replaceAll(amount, "N"), target: target?.reason };
}

const evicted = (resource: string) => ({
  reason: "Evicted",
  message:
    `The node was low on resource: ${resource}. Threshold quantity: N, available: N. ` +
    `Container main was using N, request is N, has larger consumption of ${resource}. `,
  target: "TerminationByKubelet",
});

/** What is left of the node: its quiet pod runs still, and new programs start in it. */
async function lifeOf(node: NodeRig): Promise<object> {
  const said = await node.stream({ do: "exec", uid: "uid-quiet", container: "main", command: ["/probe", "exit", "3"] });
  let seen = await node.look();
  // Images go beside what else happens.
  for (let tries = 0; seen.images.length > 1 && tries < 100; tries++) {
    await sleep(realClock, 100);
    seen = await node.look();
  }
  return { ...said, ...seen };
}

const alive = { text: "", exitCode: 3, error: "" };
const images = ["naru.local/probe:1"];

test("a full disk takes images that nothing uses, ends no pod for that, and keeps off pods that come", async () => {
  const eviction = { hard: "nodefs.available<40%" };
  const imageCollection = { minAgeMs: 0, ownMinAgeMs: 0, highPercent: 100, lowPercent: 99 };
  await using node = await openNode({ disk: "size=80m", ballastMib: 16, care: { eviction, imageCollection } });
  node.send({ do: "put", pod: podOf("modest", ["/flood", "disk", "28"]) });
  await node.find((message) => message.is === "event" && message.reason === "EvictionThresholdMet");
  // It came after the threshold was passed, and before the transition period is over.
  node.send({ do: "put", pod: podOf("late", ["/probe", "sleep"]) });
  const { reason, message } = await node.status("late", ({ phase }) => phase === "Failed");
  const exec = { uid: "uid-modest", container: "main", command: ["/probe", "exit", "4"] };
  assert.deepEqual(
    [{ reason, message }, await node.stream({ do: "exec", ...exec }), await lifeOf(node)],
    [
      { reason: "Evicted", message: "The node had condition: [DiskPressure]. " },
      { ...alive, exitCode: 4 },
      { ...alive, pressures: ["DiskPressure"], images },
    ],
  );
});

test("a disk flood ends the pod that floods", async () => {
  await using node = await openNode({ disk: "size=64m", care: { eviction: { hard: "nodefs.available<20%" } } });
  node.send({ do: "put", pod: podOf("flood", ["/flood", "disk", "1000000"]) });
  assert.deepEqual(await evictionOf(node, "flood"), evicted("ephemeral-storage"));
  assert.deepEqual(await lifeOf(node), { ...alive, pressures: ["DiskPressure"], images });
});

test("an inode flood ends the pod that floods", async () => {
  const care = { eviction: { hard: "nodefs.inodesFree<20%" } };
  await using node = await openNode({ disk: "size=64m,nr_inodes=4000", care });
  node.send({ do: "put", pod: podOf("flood", ["/flood", "inodes", "1000000"]) });
  assert.deepEqual(await evictionOf(node, "flood"), evicted("inodes"));
  assert.deepEqual(await lifeOf(node), { ...alive, pressures: ["DiskPressure"], images });
});

test("a log flood counts as its pod's use of the disk", async () => {
  await using node = await openNode({ disk: "size=64m", care: { eviction: { hard: "nodefs.available<60%" } } });
  node.send({ do: "put", pod: podOf("flood", ["/flood", "lines", "200"]) });
  assert.deepEqual(await evictionOf(node, "flood"), evicted("ephemeral-storage"));
  assert.deepEqual(await lifeOf(node), { ...alive, pressures: ["DiskPressure"], images });
});

test("a fork bomb ends the pod that forks", async () => {
  const { tasks, tasksMax } = await readLoad("/");
  const care = { eviction: { hard: `pid.available<${tasksMax - tasks - 1500}` } };
  await using node = await openNode({ disk: "size=64m", care });
  node.send({ do: "put", pod: podOf("bomb", ["/flood", "processes", "1000000"]) });
  assert.deepEqual(await evictionOf(node, "bomb"), evicted("pids"));
  assert.deepEqual(await lifeOf(node), { ...alive, pressures: ["PIDPressure"], images });
});

test("who takes more memory than it asked for is evicted when the pods' share runs out", async () => {
  const care = { memory: "256Mi", eviction: { hard: "memory.available<100Mi" } };
  await using node = await openNode({ disk: "size=16m", care });
  node.send({
    do: "put",
    pod: podOf("hog", ["/flood", "memory", "190"], { resources: { requests: { memory: "16Mi" } } }),
  });
  assert.deepEqual(await evictionOf(node, "hog"), evicted("memory"));
  assert.deepEqual(await lifeOf(node), { ...alive, pressures: ["MemoryPressure"], images });
});

test("pods together take no more memory than their share: the kernel ends who takes it, and nothing else of the node", async () => {
  await using node = await openNode({ disk: "size=16m", care: { memory: "128Mi", eviction: { hard: "" } } });
  node.send({ do: "put", pod: podOf("hog", ["/flood", "memory", "1000000"]) });
  const killed = await node.status("hog", ({ containerStatuses = [] }) => {
    const { terminated } = containerStatuses[0]?.state ?? {};
    const { terminated: before } = containerStatuses[0]?.lastState ?? {};
    return (terminated ?? before)?.exitCode === 137;
  });
  assert.equal(killed.phase, "Running");
  assert.deepEqual(await lifeOf(node), { ...alive, pressures: [], images });
});

test("nothing in a container is spared by the kernel as the agent is, what comes in later neither", async () => {
  await using node = await openNode({});
  const command = ["/probe", "files", "read", "/proc/1/oom_score_adj", "read", "/proc/self/oom_score_adj"];
  // Burstable: of the node's 1 GiB it asked for 8 MiB.
  assert.deepEqual(await node.stream({ do: "exec", uid: "uid-quiet", container: "main", command }), {
    text: "read /proc/1/oom_score_adj: 993\nread /proc/self/oom_score_adj: 993\n",
    exitCode: 0,
    error: "",
  });
});

test("a flood by a pod with a limit ends it for that limit, before the node itself is short", async () => {
  await using node = await openNode({ care: { eviction: { hard: "nodefs.available<1%" } } });
  const resources = { limits: { "ephemeral-storage": "16Mi" } };
  node.send({ do: "put", pod: podOf("flood", ["/flood", "disk", "64"], { resources }) });
  const { reason, message } = await node.status("flood", ({ phase }) => phase === "Failed");
  assert.deepEqual(
    [reason, message, await lifeOf(node)],
    [
      "Evicted",
      "Pod ephemeral local storage usage exceeds the total limit of containers 16Mi. ",
      { ...alive, pressures: [], images },
    ],
  );
});
