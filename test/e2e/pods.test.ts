// The life of pods on a real node, as kubectl tells it: order of containers, hooks, probes, restarts, ends, and what the status says of each.
import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { Pod } from "../../api/kinds/generated/types.ts";
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

const forever = "sleep 1000";
/** Says when it is asked to end, and ends. */
const polite = (name: string) => `trap 'echo ${name} ends; exit 0' TERM; echo ${name}; while true; do sleep 0.1; done`;

let cluster: TestCluster;
const kubectl = async (...args: string[]) => done(await cluster.kubectl("new", args));

// All at once: each waits for time to pass, not for the machine.
before(async () => {
  cluster = await startShellCluster();
  await applyPods(
    cluster,
    podOf("order", [shell("main", "echo main; sleep 0.2; echo main ends")], {
      restartPolicy: "Never",
      terminationGracePeriodSeconds: 10,
      initContainers: [
        shell("first", "echo first; sleep 0.2"),
        shell("side", polite("side"), {
          restartPolicy: "Always",
          startupProbe: { exec: { command: ["true"] }, periodSeconds: 1 },
        }),
        shell("second", "echo second"),
        shell("side2", polite("side2"), { restartPolicy: "Always" }),
      ],
    }),
    podOf("shared", [shell("a", "setsid sleep 999 & sleep 998"), shell("b", forever)], {
      shareProcessNamespace: true,
    }),
    podOf("debugged", [shell("main", `echo secret > /tmp/note; ${forever}`)]),
    podOf("evicted", [shell("main", polite("main"), { lifecycle: { preStop: { sleep: { seconds: 5 } } } })], {
      terminationGracePeriodSeconds: 10,
    }),
    podOf("crash", [shell("main", "exit 3")]),
    podOf("late", [shell("main", forever)], { activeDeadlineSeconds: 1 }),
    podOf(
      "ends",
      [
        shell("file", "echo because > /dev/termination-log; exit 4"),
        shell("own", "echo mine > /tmp/why", { terminationMessagePath: "/tmp/why" }),
        shell("logged", "echo last words; exit 5", { terminationMessagePolicy: "FallbackToLogsOnError" }),
        {
          name: "hungry",
          image: "naru.local/probe:1",
          args: ["hog", "100"],
          resources: { limits: { memory: "32Mi" } },
        },
      ],
      { restartPolicy: "Never" },
    ),
    podOf("waiting", [
      { name: "down", image: "127.0.0.1:1/none:1" },
      { name: "odd", image: "UPPER::bad" },
      { name: "never", image: "naru.local/none:1", imagePullPolicy: "Never" },
      shell("unset", forever, { envFrom: [{ configMapRef: { name: "missing" } }] }),
    ]),
    podOf("gated", [shell("main", forever)], { readinessGates: [{ conditionType: "example.com/gate" }] }),
    podOf(
      "hooked",
      [
        shell("main", `while ! test -f /tmp/hook; do sleep 0.1; done; cat /tmp/hook; ${polite("main")}`, {
          lifecycle: {
            postStart: { exec: { command: ["sh", "-c", "echo started > /tmp/hook"] } },
            preStop: { exec: { command: ["sh", "-c", "echo asked > /proc/1/fd/1"] } },
          },
        }),
        shell("slow", polite("slow"), { lifecycle: { preStop: { sleep: { seconds: 3 } } } }),
        shell("broken", polite("broken"), { lifecycle: { postStart: { exec: { command: ["sh", "-c", "exit 9"] } } } }),
      ],
      { terminationGracePeriodSeconds: 10 },
    ),
    podOf("probed", [
      shell("starts", `sleep 1; touch /tmp/up; ${forever}`, {
        startupProbe: { exec: { command: ["test", "-f", "/tmp/up"] }, periodSeconds: 1, failureThreshold: 30 },
        readinessProbe: { exec: { command: ["test", "-f", "/tmp/up"] } },
      }),
      shell("http", "mkdir /tmp/w; echo ok > /tmp/w/health; httpd -f -p 8080 -h /tmp/w", {
        ports: [{ name: "web", containerPort: 8080 }],
        readinessProbe: { httpGet: { path: "/health", port: "web" }, periodSeconds: 1 },
      }),
      shell("tcp", "httpd -f -p 8081", { readinessProbe: { tcpSocket: { port: 8081 }, periodSeconds: 1 } }),
    ]),
    podOf(
      "ill",
      [
        shell("main", `trap '' TERM; touch /tmp/well; sleep 1; rm /tmp/well; while true; do sleep 0.1; done`, {
          livenessProbe: {
            exec: { command: ["test", "-f", "/tmp/well"] },
            periodSeconds: 1,
            failureThreshold: 1,
            terminationGracePeriodSeconds: 1,
          },
        }),
      ],
      { terminationGracePeriodSeconds: 600 },
    ),
  );
});
after(() => cluster?.[Symbol.asyncDispose]());

test("init containers and sidecars start in order, sidecars stop last and in reverse", async () => {
  await untilEnded(cluster, "order");
  const lines = (await kubectl("logs", "order", "--all-containers", "--timestamps")).trim().split("\n").sort();
  assert.deepEqual(
    lines.map((line) => line.slice(line.indexOf(" ") + 1)),
    ["first", "side", "second", "side2", "main", "main ends", "side2 ends", "side ends"],
  );
});

test("containers that share processes see each other's, and none outlives its own", async () => {
  await untilConditions(cluster, "shared", { Ready: "True" });
  const seen = await kubectl("exec", "shared", "-c", "b", "--", "ps");
  assert.match(seen, /^ +1 65534 .*naru-pause/m);
  assert.match(seen, /sleep 999/);
  const first = /^ *(\d+) .*sleep 998$/m.exec(seen)?.[1] ?? "";
  await kubectl("exec", "shared", "-c", "b", "--", "kill", "-9", first);
  await untilPod(cluster, "shared", {
    what: "restarted",
    accept: (pod) => (statusOf(pod, "a")?.restartCount === 1 ? true : undefined),
  });
  const { length } = (await kubectl("exec", "shared", "-c", "b", "--", "ps")).match(/sleep 999/g) ?? [];
  assert.equal(length, 1);
});

test("kubectl debug adds a container that sees its target's processes and files", async () => {
  await untilConditions(cluster, "debugged", { Ready: "True" });
  const script = "cat /proc/1/root/tmp/note; exit 7";
  const image = "naru.local/shell:1";
  await kubectl("debug", "debugged", `--image=${image}`, "--target=main", "-c", "dbg", "--", "sh", "-c", script);
  const ended = await untilPod(cluster, "debugged", {
    what: "debug container ended",
    accept: (pod) => statusOf(pod, "dbg")?.state?.terminated,
  });
  assert.deepEqual([ended.exitCode, ended.reason], [7, "Error"]);
  assert.equal(await kubectl("logs", "debugged", "-c", "dbg"), "secret\n");
  const pod = await untilConditions(cluster, "debugged", { Ready: "True" });
  assert.deepEqual(pod.status?.observedGeneration, pod.metadata?.generation);
  const { code, stderr } = await cluster.kubectl("new", [
    ...["patch", "pod", "debugged", "--subresource=ephemeralcontainers", "--type=json"],
    ...["-p", '[{"op":"remove","path":"/spec/ephemeralContainers"}]'],
  ]);
  assert.deepEqual([code, /may not be removed/.test(stderr)], [1, true]);
});

test("a container that crashes backs off", async () => {
  const status = await untilPod(cluster, "crash", {
    what: "backs off",
    accept: (pod) => {
      const found = statusOf(pod, "main");
      return found?.state?.waiting?.reason === "CrashLoopBackOff" ? found : undefined;
    },
  });
  const { exitCode, reason } = status.lastState?.terminated ?? {};
  assert.deepEqual([exitCode, reason], [3, "Error"]);
  assert.match(
    status.state?.waiting?.message ?? "",
    /^back-off 10s restarting failed container=main pod=crash_default/,
  );
  await until("the Event", async () => ((await eventReasons(cluster, "crash")).includes("BackOff") ? true : undefined));
});

test("a pod that ran too long fails", async () => {
  const { status } = await untilEnded(cluster, "late");
  assert.deepEqual([status?.phase, status?.reason], ["Failed", "DeadlineExceeded"]);
});

test("ends say why", async () => {
  const pod = await untilEnded(cluster, "ends");
  const ends = (pod.status?.containerStatuses ?? []).map(({ name, state }) => {
    const { exitCode, reason, message } = state?.terminated ?? {};
    return [name, exitCode, reason, message];
  });
  assert.deepEqual(
    [pod.status?.phase, ...ends],
    [
      "Failed",
      ["file", 4, "Error", "because\n"],
      ["own", 0, "Completed", "mine\n"],
      ["logged", 5, "Error", "last words\n"],
      ["hungry", 137, "OOMKilled", undefined],
    ],
  );
});

test("containers that cannot start say what they wait for", async () => {
  const wanted = {
    down: "ImagePullBackOff",
    odd: "InvalidImageName",
    never: "ErrImageNeverPull",
    unset: "CreateContainerConfigError",
  };
  const reasons = (pod: Pod) =>
    Object.fromEntries((pod.status?.containerStatuses ?? []).map(({ name, state }) => [name, state?.waiting?.reason]));
  await untilPod(cluster, "waiting", {
    what: "says why",
    accept: (pod) => (JSON.stringify(reasons(pod)) === JSON.stringify(wanted) ? true : undefined),
  });
  const { phase, qosClass } = (await getPod(cluster, "waiting")).status ?? {};
  assert.deepEqual([phase, qosClass], ["Pending", "BestEffort"]);
  await kubectl("create", "configmap", "missing", "--from-literal=A=b");
  await untilPod(cluster, "waiting", {
    what: "found its ConfigMap",
    accept: (pod) => statusOf(pod, "unset")?.state?.running,
  });
});

test("a readiness gate is opened by its condition", async () => {
  const closed = await untilConditions(cluster, "gated", { ContainersReady: "True", Ready: "False" });
  assert.equal(closed.status?.conditions?.find(({ type }) => type === "Ready")?.reason, "ReadinessGatesNotReady");
  const patch = { status: { conditions: [{ type: "example.com/gate", status: "True" }] } };
  await kubectl("patch", "pod", "gated", "--subresource=status", "-p", JSON.stringify(patch));
  await untilConditions(cluster, "gated", { Ready: "True" });
});

test("hooks run after the start and before the end", async () => {
  await untilLogged(cluster, ["hooked", "main"], (text) => text === "started\nmain\n");
  const reasons = await until("the failed hook", async () => {
    const found = await eventReasons(cluster, "hooked");
    return found.includes("FailedPostStartHook") && found.includes("Killing") ? found : undefined;
  });
  assert.ok(reasons.includes("Started"));
  // The slow one keeps the pod for us to read.
  await kubectl("delete", "pod", "hooked", "--wait=false");
  await untilLogged(cluster, ["hooked", "main"], (text) => text === "started\nmain\nasked\nmain ends\n");
});

test("an eviction says so on the pod before it goes", async () => {
  await untilConditions(cluster, "evicted", { Ready: "True" });
  const eviction = { apiVersion: "policy/v1", kind: "Eviction", metadata: { name: "evicted", namespace: "default" } };
  const path = "/api/v1/namespaces/default/pods/evicted/eviction";
  const input = JSON.stringify(eviction);
  done(await cluster.kubectl("new", ["create", "--raw", path, "-f", "-"], { input }));
  const { metadata, status } = await untilConditions(cluster, "evicted", { DisruptionTarget: "True" });
  const reason = status?.conditions?.find(({ type }) => type === "DisruptionTarget")?.reason;
  assert.deepEqual([metadata?.deletionTimestamp !== undefined, reason], [true, "EvictionByEvictionAPI"]);
});

test("probes of every kind make a pod ready", async () => {
  const pod = await untilConditions(cluster, "probed", { Ready: "True" });
  const state = (pod.status?.containerStatuses ?? []).map(({ name, started, ready }) => [name, started, ready]);
  assert.deepEqual(state, [
    ["starts", true, true],
    ["http", true, true],
    ["tcp", true, true],
  ]);
});

test("a liveness probe that fails restarts the container, with the probe's own grace period", async () => {
  await untilPod(cluster, "ill", {
    what: "restarted",
    accept: (pod) => ((statusOf(pod, "main")?.restartCount ?? 0) > 0 ? true : undefined),
  });
  const reasons = await eventReasons(cluster, "ill");
  assert.deepEqual(
    ["Unhealthy", "Killing"].filter((reason) => !reasons.includes(reason)),
    [],
  );
});

test("a pod of a file on the node runs, is shown by the API, and goes with the file alone", async () => {
  const file = join(cluster.place.dataDir, "node-1", "manifests", "own.json");
  writeFileSync(file, JSON.stringify(podOf("own", [shell("main", `echo hello; ${forever}`)])));
  const first = await until("the mirror", () => untilConditions(cluster, "own-node-1", { Ready: "True" }));
  assert.equal(await kubectl("logs", "own-node-1"), "hello\n");
  assert.equal(await kubectl("exec", "own-node-1", "--", "echo", "in"), "in\n");
  await kubectl("delete", "pod", "own-node-1", "--wait=false");
  const again = await until("a new mirror", async () => {
    const pod = await untilConditions(cluster, "own-node-1", { Ready: "True" });
    return pod.metadata?.uid === first.metadata?.uid ? undefined : pod;
  });
  const idOf = (pod: Pod) => statusOf(pod, "main")?.containerID;
  assert.equal(idOf(again), idOf(first), "the container is the same still");
  rmSync(file);
  await until("no mirror", async () => {
    const { code } = await cluster.kubectl("new", ["get", "pod", "own-node-1"]);
    return code === 0 ? undefined : true;
  });
});
