// Pods of RuntimeClasses on a real node, by kubectl: runc and crun make them, and all that kubectl can do with a pod works on them.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ociNames, ociProgram, noOciRuntimes as skip } from "../oci-programs.ts";
import type { TestCluster } from "./cluster.ts";
import { done, until } from "./questions.ts";
import {
  applyPods,
  eventReasons,
  getPod,
  podOf,
  shell,
  startShellCluster,
  statusOf,
  untilConditions,
  untilEnded,
  untilLogged,
  untilPod,
} from "./shell-pods.ts";

let cluster: TestCluster;
const kubectl = async (...args: string[]) => done(await cluster.kubectl("new", args));
const handlerOf = (name: string) => ({
  apiVersion: "node.k8s.io/v1",
  kind: "RuntimeClass",
  metadata: { name },
  handler: "runsc",
});

before(async () => {
  const programs = await Promise.all(ociNames.map(ociProgram));
  cluster = await startShellCluster(programs.flatMap(({ handler, path }) => ["--oci-runtime", `${handler}=${path}`]));
  await applyPods(
    cluster,
    handlerOf("gvisor"),
    ...ociNames.map((runtimeClassName) =>
      podOf(
        runtimeClassName,
        [
          shell("main", "cat /v/from-init; echo $GREETING; sleep 1000", {
            env: [{ name: "GREETING", value: "hello" }],
            // Of the class Guaranteed, whose containers are to be spared when memory is short.
            resources: { limits: { cpu: "200m", memory: "64Mi" } },
            readinessProbe: { exec: { command: ["true"] }, periodSeconds: 1 },
            volumeMounts: [{ name: "v", mountPath: "/v", subPath: "deep/down" }],
          }),
          shell("other", "tty; trap 'exit 0' TERM; while true; do sleep 0.1; done", {
            tty: true,
            stdin: true,
            resources: { limits: { cpu: "100m", memory: "64Mi" } },
          }),
        ],
        {
          runtimeClassName,
          shareProcessNamespace: true,
          initContainers: [
            shell("init", "echo of the init container > /v/from-init", {
              resources: { limits: { cpu: "100m", memory: "64Mi" } },
              volumeMounts: [{ name: "v", mountPath: "/v", subPath: "deep/down" }],
            }),
          ],
          volumes: [{ name: "v", emptyDir: {} }],
        },
      ),
    ),
    podOf("users", [shell("main", "cat /proc/self/uid_map; sleep 1000")], {
      runtimeClassName: "runc",
      hostUsers: false,
    }),
    podOf("users-crun", [shell("main", "sleep 1000")], { runtimeClassName: "crun", hostUsers: false }),
    podOf("ends", [shell("main", "exit 7")], { runtimeClassName: "crun", restartPolicy: "Never" }),
    podOf("bad", [{ ...shell("main", ""), command: ["/nowhere"] }], {
      runtimeClassName: "runc",
      restartPolicy: "Never",
    }),
    podOf("nowhere", [shell("main", "")], { runtimeClassName: "gvisor" }),
    podOf("bound", [shell("main", "")], { runtimeClassName: "gvisor", nodeName: "node-1" }),
  );
});
after(() => cluster[Symbol.asyncDispose]());

for (const name of ociNames)
  test(`${name}: logs, exec, exit codes, copies and limits are as with any pod`, { skip }, async () => {
    const pod = await untilConditions(cluster, name, { Ready: "True" });
    const log = await untilLogged(cluster, [name, "main"], (text) => text.includes("hello"));
    const exec = await cluster.kubectl("new", ["exec", name, "-c", "main", "--", "sh", "-c", "ps; exit 5"]);
    const terminal = await untilLogged(cluster, [name, "other"], (text) => text !== "");
    await kubectl("exec", name, "-c", "main", "--", "sh", "-c", "echo copied > /tmp/file");
    const copied = await kubectl("exec", name, "-c", "main", "--", "tar", "-cf", "-", "/tmp/file");
    assert.deepEqual(
      {
        log,
        qos: pod.status?.qosClass,
        init: statusOf(pod, "init")?.state?.terminated?.reason,
        code: exec.code,
        shared: /naru-pause/.test(exec.stdout) && /sleep 1000/.test(exec.stdout),
        terminal: terminal.trim(),
        copied: copied.includes("copied"),
      },
      {
        log: "of the init container\nhello\n",
        qos: "Guaranteed",
        init: "Completed",
        code: 5,
        shared: true,
        terminal: "/dev/pts/0",
        copied: true,
      },
    );
  });

test("a pod has users of its own where the runtime can, and is refused in words where it cannot", {
  skip,
}, async () => {
  await untilConditions(cluster, "users", { Ready: "True" });
  const map = await untilLogged(cluster, ["users", "main"], (text) => text !== "");
  assert.match(map, /^\s+0\s+[1-9]\d{4,}\s+65536\n$/);
  const message = await until("an Event says why", async () => {
    const text = await kubectl(
      "get",
      "events",
      "--field-selector",
      "involvedObject.name=users-crun",
      "-o",
      "jsonpath={.items[*].message}",
    );
    return text.includes("user namespaces") ? text : undefined;
  });
  assert.match(message, /RuntimeClass handler "crun" does not support user namespaces/);
});

test("an exit code and a runtime's refusal are in the status", { skip }, async () => {
  const [ends, bad] = [await untilEnded(cluster, "ends"), await untilEnded(cluster, "bad")];
  const { exitCode, reason, message } = statusOf(bad, "main")?.state?.terminated ?? {};
  assert.deepEqual([statusOf(ends, "main")?.state?.terminated?.exitCode, exitCode, reason], [7, 127, "StartError"]);
  assert.match(message ?? "", /^runc create failed: .*exec: "\/nowhere"/);
});

test("a pod whose handler no node has waits, and says so", async () => {
  const message = await untilPod(cluster, "nowhere", {
    what: "cannot be placed",
    accept: (pod) => pod.status?.conditions?.find(({ reason }) => reason === "Unschedulable")?.message,
  });
  assert.equal(message, "0/1 nodes fit: 1 lacks the runtime handler runsc");
  await until("an Event", async () =>
    (await eventReasons(cluster, "bound")).includes("FailedCreatePodSandBox") ? true : undefined,
  );
  const { phase } = (await getPod(cluster, "bound")).status ?? {};
  assert.equal(phase, "Pending");
});

test("what a node can is in its status", { skip }, async () => {
  const names = await kubectl("get", "nodes", "-o", "jsonpath={.items[*].status.runtimeHandlers[*].name}");
  assert.deepEqual(names.trim().split(/\s+/), ["naru", "runc", "crun"]);
});
