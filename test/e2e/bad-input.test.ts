// What users do wrong, and the words that tell them.
import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { conditionOf } from "../../api/kinds/conditions.ts";
import { events } from "../../api/kinds/generated/resources.ts";
import { ownTest } from "../folders.ts";
import { naruPath, type Output, runProgram, startCluster, type TestCluster } from "./cluster.ts";
import { pod, web } from "./manifests.ts";
import { done, importProbe, podsOf, until } from "./questions.ts";
import { findRemains, nothing } from "./remains.ts";

let cluster: TestCluster;

before(async () => {
  cluster = await startCluster({ nodes: 2 });
  await importProbe(cluster);
});
after(() => cluster?.[Symbol.asyncDispose]());

const apply = (input: string, ...args: string[]) => cluster.naru(["apply", "-f", "-", ...args], { input });

const broken = [
  ["a bracket that is not closed", "apiVersion: v1\nkind: Pod\nmetadata: { name: [}\n", /broken\.yaml:3:\d+: /],
  ["a key twice", "apiVersion: v1\nkind: Pod\nkind: Pod\n", /broken\.yaml:3:1: /],
  ["a second document", "apiVersion: v1\nkind: Pod\n---\nmetadata:\n  name: a\n b: c\n", /broken\.yaml:6:\d+: /],
  ["no kind", "apiVersion: v1\nmetadata: { name: a }\n", /broken\.yaml:1: kind is missing/],
  [
    "a kind that is not served",
    "apiVersion: v1\nkind: Podd\nmetadata: { name: a }\n",
    /broken\.yaml:1: .* no kind Podd/,
  ],
  ["nothing", "# later\n", /broken\.yaml: there is no object in it/],
] as const;

for (const [what, text, words] of broken) {
  test(`naru apply says where a file has ${what}`, async () => {
    const path = join(cluster.place.dataDir, "broken.yaml");
    writeFileSync(path, text);
    const { code, stdout, stderr } = await cluster.naru(["apply", "-f", path]);
    assert.deepEqual([code, stdout], [1, ""]);
    assert.match(stderr, words);
  });
}

test("naru apply names a file that is not there", async () => {
  const { code, stderr } = await cluster.naru(["apply", "-f", "/nowhere/a.yaml"]);
  assert.deepEqual([code, stderr], [1, "Error: /nowhere/a.yaml: there is no such file or folder\n"]);
});

test("naru get prints what there is and says what is not; naru delete deletes what there is, and guesses nothing", async () => {
  const answers = [
    await cluster.naru(["get", "nodes", "node-1", "absent", "-o", "name"]),
    await cluster.naru(["delete", "cm/absent", "cm/kube-root-ca.crt", "--no-wait"]),
    await cluster.naru(["delete", "nodes"]),
    await cluster.naru(["get", "pods,services", "-w"]),
  ];
  assert.deepEqual(
    answers.map(({ code, stdout, stderr }) => [code, stdout, stderr.split("\n")[0]]),
    [
      [1, "node/node-1\n", 'Error: from server (NotFound): nodes "absent" not found'],
      [1, "configmap/kube-root-ca.crt deleted\n", 'Error: from server (NotFound): configmaps "absent" not found'],
      [2, "", "naru delete: name one of the nodes, such as node/NAME"],
      [2, "", "naru get: -w follows one kind, or one object"],
    ],
  );
});

// Path, what came, what is allowed: the same words from naru and from kubectl.
const wrong = [
  ["replicas: 1", "replicas: many", 'spec.replicas: Invalid value: "many": must be an integer, got a string'],
  ["replicas: 1", "replicas: -1", "spec.replicas: Invalid value: -1: must be greater than or equal to 0"],
  [
    "name: web\n          image",
    "name: web\n          imagePullPolicy: Sometimes\n          image",
    'spec.template.spec.containers[0].imagePullPolicy: Unsupported value: "Sometimes": supported values: "Always", "IfNotPresent", "Never"',
  ],
  [
    "containerPort: 8080",
    "containerPort: 99999",
    "spec.template.spec.containers[0].ports[0].containerPort: Invalid value: 99999: must be between 1 and 65535, inclusive",
  ],
  [
    "matchLabels: { app: web }",
    "matchLabels: { app: other }",
    'spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not match template `labels`',
  ],
] as const;

for (const [right, mistake, words] of wrong) {
  test(`naru and kubectl name the path of a wrong field (${mistake.split("\n")[1] ?? mistake})`, async () => {
    const input = web({ replicas: 1 }).replace(right, mistake).split("---")[0] ?? "";
    for (const answer of [await apply(input), await cluster.kubectl("new", ["apply", "-f", "-"], { input })]) {
      assert.equal(answer.code, 1);
      assert.ok(answer.stderr.includes(words), answer.stderr);
    }
  });
}

const odd =
  web({ replicas: 1, name: "odd" }).replace("replicas: 1", "replicas: 1\n  replicaz: 2").split("---")[0] ?? "";
const kubectl = (version: "old" | "new", ...args: string[]) => cluster.kubectl(version, args, { input: odd });
const warnings: readonly (readonly [string, () => Promise<Output>])[] = [
  ["naru apply", () => apply(odd, "--dry-run")],
  ["kubectl apply --validate=warn", () => kubectl("new", "apply", "-f", "-", "--validate=warn", "--dry-run=server")],
  [
    "kubectl 1.20 apply --validate=false",
    () => kubectl("old", "apply", "-f", "-", "--validate=false", "--dry-run=server"),
  ],
];
for (const [command, run] of warnings) {
  test(`${command} warns of an unknown field`, async () => {
    const { code, stderr } = await run();
    assert.equal(code, 0, stderr);
    assert.match(stderr, /^Warning: unknown field "spec\.replicaz"$/m);
  });
}

const refusals: readonly (readonly [string, () => Promise<Output>, RegExp])[] = [
  ["naru apply --strict", () => apply(odd, "--strict"), /unknown field "spec\.replicaz"/],
  ["kubectl apply", () => kubectl("new", "apply", "-f", "-"), /unknown field "spec\.replicaz"/],
  [
    "kubectl create --validate=strict",
    () => kubectl("new", "create", "-f", "-", "--validate=strict"),
    /unknown field "spec\.replicaz"/,
  ],
  [
    "kubectl 1.20 apply",
    () => kubectl("old", "apply", "-f", "-"),
    /unknown field "replicaz" in io\.k8s\.api\.apps\.v1\.DeploymentSpec/,
  ],
];
for (const [command, run, words] of refusals) {
  test(`${command} refuses an unknown field`, async () => {
    const { code, stderr } = await run();
    assert.equal(code, 1);
    assert.match(stderr, words);
    assert.equal((await cluster.kubectl("new", ["get", "deployment", "odd"])).code, 1);
  });
}

test("an unschedulable pod says what each node lacks", async () => {
  const container = { resources: { requests: { cpu: "1000" } } };
  done(await apply(pod({ name: "huge", args: ["sleep", "1"], container })));
  const message = await until("the reason", async () => {
    const [huge] = await podsOf(cluster, "app=huge");
    return conditionOf(huge?.status?.conditions, "PodScheduled")?.message;
  });
  assert.match(message, /^0\/2 nodes fit: 2 need 1000 CPU, have .* free/);
  await untilEvent("huge", "FailedScheduling", message);
});

// What never runs, where it says so: the container's reason, and an Event's words.
const stuck: readonly (readonly [
  name: string,
  container: object,
  spec: object,
  waiting: string,
  event: string,
  words: string,
])[] = [
  [
    "no-image",
    { image: "naru.local/none:1", imagePullPolicy: "Never" },
    {},
    "ErrImageNeverPull",
    "ErrImageNeverPull",
    'Container image "naru.local/none:1" is not present with pull policy of Never',
  ],
  [
    "no-config",
    { envFrom: [{ configMapRef: { name: "absent" } }] },
    {},
    "CreateContainerConfigError",
    "Failed",
    'Error: configmap "absent" not found',
  ],
  [
    "no-program",
    { command: ["/nothing"] },
    {},
    "CrashLoopBackOff",
    "Failed",
    "Error: exec /nothing: no such file or directory",
  ],
  [
    "no-volume",
    { volumeMounts: [{ name: "a", mountPath: "/a" }] },
    { volumes: [{ name: "a", secret: { secretName: "absent" } }] },
    "ContainerCreating",
    "FailedMount",
    'MountVolume.SetUp failed for volume "a" : secret "absent" not found',
  ],
];
for (const [name, container, spec, reason, event, words] of stuck) {
  test(`a pod that cannot start (${name}) says why in status and Event`, async () => {
    done(await apply(pod({ name, args: ["sleep", "1"], container, spec })));
    await until(reason, async () => ((await waitingOf(name))?.reason === reason ? true : undefined));
    await untilEvent(name, event, words);
  });
}

test("a crashing container is started again after waits, and says so with its exit code", async () => {
  done(await apply(pod({ name: "crash", args: ["exit", "3"] })));
  const status = await until("a second restart, and the wait before the next", async () => {
    const found = (await podsOf(cluster, "app=crash"))[0]?.status?.containerStatuses?.[0];
    return (found?.restartCount ?? 0) >= 2 && found?.state?.waiting?.reason === "CrashLoopBackOff" ? found : undefined;
  });
  assert.equal(status.lastState?.terminated?.exitCode, 3);
  // The first wait is 10 s, the second twice as long: it is named, not measured.
  assert.match(
    status.state?.waiting?.message ?? "",
    /^back-off 20s restarting failed container=main pod=crash_default/,
  );
  await untilEvent("crash", "BackOff", "Back-off restarting failed container main in pod crash_default");
});

// Each in a mount namespace or as a user of its own: the machine stays as it is.
const machines: readonly (readonly [string, string, readonly string[], RegExp])[] = [
  [
    "nft is missing",
    "unshare",
    ["--mount", "sh", "-c", 'mount -t tmpfs none /usr/sbin && exec "$@"', "sh"],
    /^ {2}nft: apt-get install nftables$/m,
  ],
  [
    "it is not root",
    "setpriv",
    ["--reuid=65534", "--clear-groups", "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"],
    /^ {2}root: .*run as root or with sudo$/m,
  ],
];
for (const [what, program, args, words] of machines) {
  test(`naru up says before it starts anything that ${what}`, async () => {
    const name = `${ownTest}-none`;
    const dataDir = join(cluster.place.dataDir, "none");
    const up = [naruPath, "up", "--name", name, "--data", dataDir];
    const { code, stderr } = await runProgram(program, [...args, ...up], {});
    assert.equal(code, 1);
    assert.match(stderr, /^Error: this machine cannot run containers:$/m);
    assert.match(stderr, words);
    assert.deepEqual([existsSync(dataDir), existsSync(`/run/naru/${name}`)], [false, false]);
  });
}

test("naru up says why its server cannot start, and leaves nothing", async () => {
  const place = { ...cluster.place, name: `${ownTest}-none`, dataDir: join(cluster.place.dataDir, "none") };
  const words = ["up", "--name", place.name, "--data", place.dataDir, "--nodes", "1", "--store", "nonsense:x"];
  const { code, stderr } = await runProgram(naruPath, words, {});
  assert.equal(code, 1);
  assert.match(stderr, /^Error: the server cannot start: store nonsense:x: unknown kind; a store is "sqlite:/);
  const { runDir, cgroup } = { runDir: `/run/naru/${place.name}`, cgroup: `/naru-${place.name}` };
  assert.deepEqual(await findRemains({ ...place, runDir, cgroup }), nothing);
});

async function waitingOf(name: string): Promise<{ readonly reason?: string; readonly message?: string } | undefined> {
  return (await podsOf(cluster, `app=${name}`))[0]?.status?.containerStatuses?.[0]?.state?.waiting;
}

async function untilEvent(name: string, reason: string, words: string): Promise<void> {
  await until(`the Event ${reason} of ${name}`, async () => {
    const { items } = await cluster.client.list(events, { namespace: "default" });
    const said = items.filter((one) => one.involvedObject.name === name && one.reason === reason);
    assert.ok(
      said.some(({ message }) => message?.startsWith(words)),
      said.map(({ message }) => message).join("\n"),
    );
    return true;
  });
}
