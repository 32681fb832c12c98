// Pods on a real kernel: from an imported image to Ready, their logs and execs, their limits, and the agent killed beside them.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Container, Pod, PodStatus } from "../../api/kinds/generated/types.ts";
import { NodeRig } from "./node-rig.ts";

function podOf(name: string, container: Partial<Container>, restartPolicy = "Always"): Pod {
  return {
    metadata: { name, namespace: "default", uid: `uid-${name}` },
    spec: {
      restartPolicy,
      containers: [{ name: "main", image: "naru.local/probe:1", imagePullPolicy: "Never", ...container }],
    },
  };
}

function isReady(status: PodStatus): boolean {
  return status.conditions?.some(({ type, status }) => type === "Ready" && status === "True") === true;
}

function terminated(status: PodStatus) {
  return status.containerStatuses?.[0]?.state?.terminated;
}

test("openAgent runs pods on Linux, tells their ends, and goes on after its own", async () => {
  await using node = new NodeRig();
  await node.find((message) => message.is === "ready");

  const exec = { exec: { command: ["/probe", "exit", "0"] } };
  const stays = podOf("stays", { args: ["stubborn"], readinessProbe: exec });
  node.send({ do: "put", pod: stays });
  const before = await node.status("stays", isReady);
  assert.deepEqual(
    await node.stream({ do: "exec", uid: "uid-stays", container: "main", command: ["/probe", "print", "hello"] }),
    { text: "hello\nhello on stderr\n", exitCode: 0, error: "" },
  );

  node.send({ do: "put", pod: podOf("prints", { args: ["print", "done"] }, "Never") });
  await node.status("prints", ({ phase }) => phase === "Succeeded");
  assert.deepEqual(await node.stream({ do: "log", uid: "uid-prints", container: "main", previous: false }), {
    text: "done\ndone on stderr\n",
    exitCode: 0,
    error: "",
  });

  const limits = { limits: { memory: "16Mi" } };
  node.send({ do: "put", pod: podOf("greedy", { args: ["memory"], resources: limits }, "Never") });
  const { reason, exitCode } = terminated(await node.status("greedy", ({ phase }) => phase === "Failed")) ?? {};
  assert.deepEqual({ reason, exitCode }, { reason: "OOMKilled", exitCode: 137 });

  node.send({ do: "put", pod: podOf("absent", { command: ["/nowhere"] }, "Never") });
  const absent = terminated(await node.status("absent", ({ phase }) => phase === "Failed"));
  assert.deepEqual(
    [absent?.reason, absent?.exitCode, absent?.message],
    ["StartError", 127, "exec /nowhere: no such file or directory"],
  );

  await node.killAgent();
  node.send({ do: "put", pod: { ...stays, status: before } });
  assert.deepEqual(
    await node.stream({ do: "exec", uid: "uid-stays", container: "main", command: ["/probe", "exit", "5"] }),
    { text: "", exitCode: 5, error: "" },
  );
  // What ended is known still, what runs is the same run: an end of it is noticed by the new agent.
  assert.deepEqual(await node.stream({ do: "log", uid: "uid-stays", container: "main", previous: true }), {
    text: "",
    exitCode: 1,
    error: 'previous terminated container "main" in pod "stays" not found',
  });
  node.forget();
  node.send({ do: "delete", pod: stays });
  await node.find((message) => message.is === "gone" && message.name === "stays");
});
