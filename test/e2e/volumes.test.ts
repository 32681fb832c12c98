// What a pod's volumes, users and limits are, as a user declares them and as its containers see them.
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { pods } from "../../api/kinds/generated/resources.ts";
import type { Container, Pod, PodSpec } from "../../api/kinds/generated/types.ts";
import { startCluster, type TestCluster } from "./cluster.ts";
import { lookImage } from "./look-image.ts";
import { archiveOf } from "./probe-image.ts";
import { done, until } from "./questions.ts";

const image = "naru.local/look:1";
let cluster: TestCluster;
let host = "";

before(async () => {
  cluster = await startCluster({ nodes: 1 });
  const archive = join(cluster.place.dataDir, "look.tar");
  writeFileSync(archive, await archiveOf(await lookImage(), [image]));
  done(await cluster.naru(["image", "import", archive]));
  host = join(cluster.place.dataDir, "host");
  mkdirSync(host);
  writeFileSync(join(host, "file"), "of the host\n");
});
after(() => cluster?.[Symbol.asyncDispose]());

type Words = readonly string[];

/** Where a container finds how much memory it may have. */
const limitFile = ["/sys/fs/cgroup/memory/memory.limit_in_bytes"].find(existsSync) ?? "/sys/fs/cgroup/memory.max";

function podOf(name: string, words: Words, container: Partial<Container> = {}, spec: Partial<PodSpec> = {}): Pod {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, labels: { app: name } },
    spec: {
      restartPolicy: "Never",
      terminationGracePeriodSeconds: 1,
      containers: [{ name: "main", image, args: words, ...container }],
      ...spec,
    },
  } as Pod;
}

async function apply(...objects: readonly object[]): Promise<void> {
  const input = JSON.stringify({ apiVersion: "v1", kind: "List", items: objects });
  done(await cluster.kubectl("new", ["apply", "-f", "-"], { input }));
}

function ended(name: string): Promise<Pod> {
  return until(`the end of ${name}`, async () => {
    const pod = await cluster.client.get(pods, { namespace: "default", name: name });
    const { phase } = pod.status ?? {};
    return phase === "Succeeded" || phase === "Failed" ? pod : undefined;
  });
}

async function logOf(name: string): Promise<readonly string[]> {
  await ended(name);
  return done(await cluster.kubectl("new", ["logs", name]))
    .trimEnd()
    .split("\n");
}

/** Applies pods that look, and gives what each saw. */
async function looks(cases: readonly Pod[]): Promise<Readonly<Record<string, readonly string[]>>> {
  await apply(...cases);
  const logs = await Promise.all(
    cases.map(async ({ metadata }) => [metadata?.name ?? "", await logOf(metadata?.name ?? "")] as const),
  );
  return Object.fromEntries(logs);
}

const status = "/proc/self/status";
const statusLines = (lines: readonly string[] | undefined, ...names: readonly string[]) =>
  (lines ?? []).flatMap((line) => {
    const [, name, value] = /^read [^:]*: (\w+):\s*(.*)$/.exec(line) ?? [];
    return name !== undefined && names.includes(name) ? [`${name} ${value?.trim().replaceAll("\t", " ")}`] : [];
  });

test("files of every kind of volume are as declared", async () => {
  await apply(
    { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "cm" }, data: { a: "A\n", b: "B\n" } },
    { apiVersion: "v1", kind: "Secret", metadata: { name: "sec" }, stringData: { pw: "hunter2\n" } },
  );
  const one = (name: string, volume: object, words: Words, mount: object = {}, more: Partial<PodSpec> = {}) =>
    podOf(
      name,
      words,
      { volumeMounts: [{ name: "v", mountPath: "/v", ...mount }], env: [{ name: "WHO", value: "me" }] },
      { volumes: [{ name: "v", ...volume }], ...more },
    );
  const downward = [
    { path: "labels", fieldRef: { fieldPath: "metadata.labels" } },
    { path: "cpu", resourceFieldRef: { containerName: "main", resource: "limits.cpu", divisor: "1m" } },
  ];
  const seen = await looks([
    one("scratch", { emptyDir: {} }, ["stat", "/v", "write", "/v/x", "stat", "/v/x"]),
    one(
      "grouped",
      { emptyDir: {} },
      ["stat", "/v", "write", "/v/x", "stat", "/v/x"],
      {},
      {
        securityContext: { fsGroup: 77, runAsUser: 1000 },
      },
    ),
    one("memory", { emptyDir: { medium: "Memory", sizeLimit: "2Mi" } }, ["fs", "/v", "fill", "/v/x"]),
    one(
      "config",
      {
        configMap: {
          name: "cm",
          defaultMode: 0o440,
          items: [
            { key: "a", path: "x/y" },
            { key: "b", path: "z", mode: 0o400 },
          ],
        },
      },
      ["read", "/v/x/y", "stat", "/v/..data/x/y", "stat", "/v/..data/z", "stat", "/v/z", "write", "/v/new"],
    ),
    one(
      "secret",
      { secret: { secretName: "sec" } },
      ["read", "/v/pw", "stat", "/v/..data/pw"],
      {},
      {
        securityContext: { fsGroup: 77, runAsUser: 1000 },
      },
    ),
    one("optional", { configMap: { name: "none", optional: true } }, ["stat", "/v/a"]),
    one("downward", { downwardAPI: { items: [downward[0]] } }, ["read", "/v/labels"]),
    one(
      "projected",
      {
        projected: {
          defaultMode: 0o400,
          sources: [
            { configMap: { name: "cm", items: [{ key: "a", path: "cm/a" }] } },
            { secret: { name: "sec" } },
            { downwardAPI: { items: downward } },
          ],
        },
      },
      ["read", "/v/cm/a", "read", "/v/pw", "read", "/v/labels", "stat", "/v/..data/pw"],
    ),
    one("image", { image: { reference: image } }, ["read", "/v/data/hello", "write", "/v/x"]),
    one("image-part", { image: { reference: image } }, ["list", "/v"], { subPath: "data" }),
    one("sub", { emptyDir: {} }, ["stat", "/v", "write", "/v/x"], { subPathExpr: "logs/$(WHO)" }),
    one("sub-file", { configMap: { name: "cm" } }, ["read", "/v"], { subPath: "b" }),
    one("host", { hostPath: { path: host, type: "Directory" } }, ["read", "/v/file", "write", "/v/x"], {
      readOnly: true,
    }),
  ]);
  const no = "Read-only file system";
  assert.deepEqual(seen, {
    scratch: ["stat /v: directory 0777 0:0", "write /v/x: allowed", "stat /v/x: file 0644 0:0"],
    grouped: ["stat /v: directory 2777 0:77", "write /v/x: allowed", "stat /v/x: file 0644 1000:77"],
    memory: [`fs /v: tmpfs ${2 << 20}`, "fill /v/x: No space left on device"],
    config: [
      "read /v/x/y: A",
      "stat /v/..data/x/y: file 0440 0:0",
      "stat /v/..data/z: file 0400 0:0",
      "stat /v/z: link 0777 0:0",
      `write /v/new: ${no}`,
    ],
    secret: ["read /v/pw: hunter2", "stat /v/..data/pw: file 0644 0:77"],
    optional: ["stat /v/a: No such file or directory"],
    downward: ['read /v/labels: app="downward"'],
    projected: [
      "read /v/cm/a: A",
      "read /v/pw: hunter2",
      'read /v/labels: app="projected"',
      "stat /v/..data/pw: file 0400 0:0",
    ],
    image: ["read /v/data/hello: from the image", `write /v/x: ${no}`],
    "image-part": ["list /v: hello"],
    sub: ["stat /v: directory 0777 0:0", "write /v/x: allowed"],
    "sub-file": ["read /v: B"],
    host: ["read /v/file: of the host", `write /v/x: ${no}`],
  });
});

test("a hostPath is what its type says, or the pod waits and says why", async () => {
  const socket = createServer().listen(join(host, "socket"));
  const block = readdirSync("/sys/block")[0];
  const types: readonly (readonly [type: string, path: string, what: string])[] = [
    ["Directory", host, "directory"],
    ["DirectoryOrCreate", join(host, "made/deep"), "directory"],
    ["File", join(host, "file"), "file"],
    ["FileOrCreate", join(host, "made-file"), "file"],
    ["Socket", join(host, "socket"), "socket"],
    ["CharDevice", "/dev/null", "c"],
    ...(block !== undefined && existsSync(`/dev/${block}`) ? ([["BlockDevice", `/dev/${block}`, "b"]] as const) : []),
  ];
  try {
    const seen = await looks(
      types.map(([type, path]) =>
        podOf(
          `host-${type.toLowerCase()}`,
          ["stat", "/v"],
          { volumeMounts: [{ name: "v", mountPath: "/v" }] },
          { volumes: [{ name: "v", hostPath: { path, type } }] },
        ),
      ),
    );
    assert.deepEqual(
      Object.values(seen).map(([line]) => line?.split(" ")[2]),
      types.map(([, , what]) => what),
    );
  } finally {
    socket.close();
  }
  await apply(
    podOf(
      "host-wrong",
      ["id", "."],
      { volumeMounts: [{ name: "v", mountPath: "/v" }] },
      {
        volumes: [{ name: "v", hostPath: { path: join(host, "file"), type: "Directory" } }],
      },
    ),
  );
  const message = await until("the Event of host-wrong", async () => {
    const words = ["get", "events", "--field-selector", "reason=FailedMount,involvedObject.name=host-wrong"];
    const text = done(await cluster.kubectl("new", [...words, "-o", "jsonpath={.items[0].message}"]));
    return text === "" ? undefined : text;
  });
  assert.equal(
    message,
    `MountVolume.SetUp failed for volume "v" : hostPath type check failed: ${join(host, "file")} is not a directory`,
  );
});

test("files of a ConfigMap and a Secret follow them, all at once, with their group", async () => {
  const data = (value: string) => [
    { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "live" }, data: { a: value, b: value } },
    { apiVersion: "v1", kind: "Secret", metadata: { name: "live" }, stringData: { s: value } },
  ];
  const volumes = [
    { name: "cm", configMap: { name: "live" } },
    { name: "sec", secret: { secretName: "live", defaultMode: 0o400 } },
  ];
  const volumeMounts = [
    { name: "cm", mountPath: "/cm" },
    { name: "sec", mountPath: "/sec" },
  ];
  const words = [
    "wait",
    "/cm/c",
    "wait",
    "/sec/t",
    "read",
    "/cm/a",
    "read",
    "/cm/b",
    "read",
    "/sec/s",
    "stat",
    "/sec/..data/s",
  ];
  await apply(
    ...data("one\n"),
    podOf("live", words, { volumeMounts }, { volumes, securityContext: { fsGroup: 77, runAsUser: 1000 } }),
  );
  await until("it runs", async () => {
    const { status: now } = await cluster.client.get(pods, { namespace: "default", name: "live" });
    return now?.phase === "Running" ? true : undefined;
  });
  const patch = (kind: string, text: object) =>
    cluster.kubectl("new", ["patch", kind, "live", "--type=merge", "-p", JSON.stringify(text)]);
  done(await patch("configmap", { data: { a: "two\n", b: "two\n", c: "end" } }));
  done(await patch("secret", { stringData: { s: "two\n", t: "end" } }));
  assert.deepEqual(await logOf("live"), [
    "read /cm/a: two",
    "read /cm/b: two",
    "read /sec/s: two",
    "stat /sec/..data/s: file 0440 0:77",
  ]);
});

test("who a container runs as, and what it may do, is as declared", async () => {
  const words = ["id", ".", "read", status, "write", "/x"];
  const one = (name: string, securityContext: object, forPod: object = {}, args: Words = words) =>
    podOf(name, args, { securityContext }, { securityContext: forPod });
  const profiles = join(cluster.place.dataDir, cluster.nodes[0]?.name ?? "", "seccomp/own");
  mkdirSync(profiles, { recursive: true });
  const syscalls = [{ names: ["mkdir", "mkdirat"], action: "SCMP_ACT_ERRNO" }];
  writeFileSync(join(profiles, "no-mkdir.json"), JSON.stringify({ defaultAction: "SCMP_ACT_ALLOW", syscalls }));
  const seen = await looks([
    one("plain", {}),
    one("app", { runAsUser: 1000 }, { supplementalGroups: [5], fsGroup: 6 }),
    one("strict", { runAsUser: 1000, runAsGroup: 9 }, { supplementalGroupsPolicy: "Strict" }),
    one("bare", {
      capabilities: { drop: ["ALL"], add: ["NET_BIND_SERVICE"] },
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
    }),
    one("open", { seccompProfile: { type: "Unconfined" } }),
    one("privileged", { privileged: true }),
    one("profiled", { seccompProfile: { type: "Localhost", localhostProfile: "own/no-mkdir.json" } }, {}, [
      ...["mkdir", "/x", "read", status],
    ]),
    podOf("node-network", ["write", "/sys/kernel/uevent_seqnum", "write", limitFile], {}, { hostNetwork: true }),
    one("tuned", {}, { sysctls: [{ name: "net.ipv4.tcp_fin_timeout", value: "17" }] }, [
      "read",
      "/proc/sys/net/ipv4/tcp_fin_timeout",
    ]),
  ]);
  assert.equal(seen["profiled"]?.[0], "mkdir /x: Operation not permitted");
  assert.deepEqual(seen["node-network"], [
    "write /sys/kernel/uevent_seqnum: Read-only file system",
    `write ${limitFile}: Read-only file system`,
  ]);
  const facts = (name: string) => [
    seen[name]?.[0],
    ...statusLines(seen[name], "Groups", "NoNewPrivs", "Seccomp", "CapBnd"),
    seen[name]?.at(-1),
  ];
  const standard = "CapBnd 00000000a80425fb";
  const privileged = facts("privileged");
  assert.deepEqual(
    {
      plain: facts("plain"),
      app: facts("app"),
      strict: facts("strict"),
      bare: facts("bare"),
      open: facts("open"),
      tuned: seen["tuned"],
    },
    {
      plain: ["id: 0:0", "Groups ", standard, "NoNewPrivs 0", "Seccomp 2", "write /x: allowed"],
      app: ["id: 1000:1001", "Groups 5 6 1234", standard, "NoNewPrivs 0", "Seccomp 2", "write /x: Permission denied"],
      strict: ["id: 1000:9", "Groups ", standard, "NoNewPrivs 0", "Seccomp 2", "write /x: Permission denied"],
      bare: [
        "id: 0:0",
        "Groups ",
        "CapBnd 0000000000000400",
        "NoNewPrivs 1",
        "Seccomp 2",
        "write /x: Read-only file system",
      ],
      open: ["id: 0:0", "Groups ", standard, "NoNewPrivs 0", "Seccomp 0", "write /x: allowed"],
      tuned: ["read /proc/sys/net/ipv4/tcp_fin_timeout: 17"],
    },
  );
  assert.deepEqual(
    [privileged[0], privileged[3], privileged[4], privileged[2] !== standard],
    ["id: 0:0", "NoNewPrivs 0", "Seccomp 0", true],
  );
});

test("a pod with users of its own has its files and volumes, and is nobody on the node", async () => {
  await apply({ apiVersion: "v1", kind: "Secret", metadata: { name: "own" }, stringData: { pw: "hunter3\n" } });
  const words = [
    "id",
    ".",
    "read",
    "/proc/self/uid_map",
    "stat",
    "/probe",
    "write",
    "/v/x",
    "stat",
    "/v/x",
    "read",
    "/s/pw",
  ];
  const seen = await looks([
    podOf(
      "own-users-shared",
      ["id", "."],
      { securityContext: { runAsUser: 1000 } },
      { hostUsers: false, shareProcessNamespace: true },
    ),
    podOf(
      "own-users",
      [...words, "write", "/x", "write", "/dev/termination-log", "list", "/proc/fs"],
      {
        volumeMounts: [
          { name: "v", mountPath: "/v" },
          { name: "s", mountPath: "/s" },
        ],
        securityContext: { procMount: "Unmasked" },
      },
      {
        hostUsers: false,
        volumes: [
          { name: "v", emptyDir: {} },
          { name: "s", secret: { secretName: "own", defaultMode: 0o400 } },
        ],
      },
    ),
  ]);
  assert.deepEqual(seen["own-users-shared"], ["id: 1000:1001"]);
  const [id, map = "", ...rest] = seen["own-users"] ?? [];
  const [, inside, outside, count] = /(\d+)\s+(\d+)\s+(\d+)$/.exec(map) ?? [];
  assert.deepEqual([id, inside, Number(outside) >= 65_536, count], ["id: 0:0", "0", true, "65536"]);
  assert.deepEqual(rest.slice(0, -1), [
    "stat /probe: file 0755 0:0",
    "write /v/x: allowed",
    "stat /v/x: file 0644 0:0",
    "read /s/pw: hunter3",
    "write /x: allowed",
    "write /dev/termination-log: allowed",
  ]);
  const { status: now } = await ended("own-users");
  assert.equal(now?.containerStatuses?.[0]?.state?.terminated?.message, "written\n");
});

test("a token in a volume speaks for the pod's service account as long as the pod is there", async () => {
  const sources = [{ serviceAccountToken: { path: "token", expirationSeconds: 600 } }];
  await apply(
    { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "speaker" } },
    podOf(
      "speaks",
      ["read", "/t/token"],
      { volumeMounts: [{ name: "t", mountPath: "/t" }] },
      {
        serviceAccountName: "speaker",
        volumes: [{ name: "t", projected: { sources } }],
      },
    ),
  );
  const [line = ""] = await logOf("speaks");
  const token = line.slice("read /t/token: ".length);
  const whoAmI = (bearer: string) =>
    cluster.kubectl("new", [`--token=${bearer}`, "auth", "whoami", "-o", "jsonpath={.status.userInfo.username}"]);
  assert.equal(done(await whoAmI(token)), "system:serviceaccount:default:speaker");
  const made = done(await cluster.kubectl("new", ["create", "token", "speaker", "--duration=10m"])).trim();
  assert.equal(done(await whoAmI(made)), "system:serviceaccount:default:speaker");
  done(await cluster.kubectl("new", ["delete", "pod", "speaks", "--wait=true"]));
  assert.notEqual((await whoAmI(token)).code, 0);
});

test("what a pod must not have is refused with words", async () => {
  symlinkSync("/", join(host, "out"));
  await apply(
    podOf("unsafe", ["id", "."], {}, { securityContext: { sysctls: [{ name: "net.core.somaxconn", value: "9" }] } }),
    podOf("as-root", ["id", "."], { securityContext: { runAsNonRoot: true } }),
    podOf(
      "escapes",
      ["id", "."],
      { volumeMounts: [{ name: "v", mountPath: "/v", subPath: "out/etc" }] },
      {
        volumes: [{ name: "v", hostPath: { path: host } }],
      },
    ),
    podOf(
      "shares",
      ["id", "."],
      {
        securityContext: { privileged: true },
        volumeMounts: [{ name: "v", mountPath: "/v", mountPropagation: "Bidirectional" }],
      },
      { volumes: [{ name: "v", emptyDir: { medium: "Memory" } }] },
    ),
  );
  const { status: unsafe } = await ended("unsafe");
  const waiting = (name: string) =>
    until(`why ${name} waits`, async () => {
      const pod = await cluster.client.get(pods, { namespace: "default", name: name });
      const { reason, message = "" } = pod.status?.containerStatuses?.[0]?.state?.waiting ?? {};
      return reason === "CreateContainerConfigError" ? message : undefined;
    });
  const [asRoot, escapes, shares] = await Promise.all(["as-root", "escapes", "shares"].map(waiting));
  assert.deepEqual([unsafe?.phase, unsafe?.reason], ["Failed", "SysctlForbidden"]);
  assert.match(unsafe?.message ?? "", /^Pod was rejected: forbidden sysctl: "net.core.somaxconn" not allowlisted/);
  assert.match(asRoot ?? "", /^container has runAsNonRoot and image will run as root \(pod: "as-root_default/);
  assert.match(
    escapes ?? "",
    /^failed to prepare subPath for volumeMount "v" of container "main": open out\/etc below /,
  );
  assert.match(shares ?? "", /but it is not a shared mount/);
});

test("limits reach the kernel, and a pod that fills its disk is evicted", async () => {
  const limits = { cpu: "500m", memory: "64Mi" };
  const fills = ["fill", "/v/x", "wait", "/never"];
  const [seen] = await Promise.all([
    looks([
      podOf("limited", ["read", limitFile], { resources: { limits } }),
      podOf("expendable", ["read", "/proc/self/oom_score_adj"]),
    ]),
    apply(
      podOf(
        "fills-volume",
        fills,
        { volumeMounts: [{ name: "v", mountPath: "/v" }] },
        {
          volumes: [{ name: "v", emptyDir: { sizeLimit: "1Mi" } }],
        },
      ),
      podOf("fills-layer", ["fill", "/x", "wait", "/never"], { resources: { limits: { "ephemeral-storage": "1Mi" } } }),
    ),
  ]);
  assert.deepEqual(seen, {
    limited: [`read ${limitFile}: ${64 << 20}`],
    expendable: ["read /proc/self/oom_score_adj: 1000"],
  });
  const evicted = await Promise.all(["fills-volume", "fills-layer"].map(ended));
  assert.deepEqual(
    evicted.map(({ status: now }) => [now?.phase, now?.reason, now?.message]),
    [
      ["Failed", "Evicted", 'Usage of EmptyDir volume "v" exceeds the limit "1Mi". '],
      ["Failed", "Evicted", "Pod ephemeral local storage usage exceeds the total limit of containers 1Mi. "],
    ],
  );
});

test("a running container's limits change in place, as far as the node has room", async () => {
  const resizePolicy = [{ resourceName: "cpu", restartPolicy: "RestartContainer" }];
  const resources = { requests: { memory: "32Mi", cpu: "10m" }, limits: { memory: "64Mi" } };
  await apply(podOf("sized", ["wait", "/never"], { resources, resizePolicy }, { restartPolicy: "Always" }));
  const statusOf = async () => {
    const { status: now } = await cluster.client.get(pods, { namespace: "default", name: "sized" });
    return { conditions: now?.conditions ?? [], container: now?.containerStatuses?.[0] };
  };
  await until("it runs", async () => ((await statusOf()).container?.state?.running === undefined ? undefined : true));
  const resize = (change: object) => {
    const patch = { spec: { containers: [{ name: "main", resources: change }] } };
    return cluster.kubectl("new", ["patch", "pod", "sized", "--subresource=resize", "-p", JSON.stringify(patch)]);
  };
  const read = async () =>
    done(await cluster.kubectl("new", ["exec", "sized", "--", "/probe", "files", "read", limitFile])).trimEnd();
  const before = await read();
  done(await resize({ limits: { memory: "96Mi" } }));
  await until("the limit", async () =>
    (await statusOf()).container?.resources?.limits?.["memory"] === "96Mi" ? true : undefined,
  );
  const { container } = await statusOf();
  assert.deepEqual(
    [before, await read(), container?.restartCount, container?.allocatedResources],
    [`read ${limitFile}: ${64 << 20}`, `read ${limitFile}: ${96 << 20}`, 0, { memory: "32Mi", cpu: "10m" }],
  );
  done(await resize({ requests: { cpu: "20m" } }));
  await until("its restart", async () => ((await statusOf()).container?.restartCount === 1 ? true : undefined));
  done(await resize({ requests: { cpu: "9999" } }));
  const pending = await until("why not", async () =>
    (await statusOf()).conditions.find(({ type }) => type === "PodResizePending"),
  );
  assert.deepEqual([pending.status, pending.reason], ["True", "Infeasible"]);
  const refused = await resize({ limits: { memory: "1Mi" } });
  assert.match(refused.stderr, /must be less than or equal to memory limit/);
});

test("pods that are gone leave no mount and no folder", async () => {
  done(await cluster.kubectl("new", ["delete", "pods", "--all", "--wait=true"]));
  const left = await until("nothing is mounted", () => {
    const mounts = readFileSync("/proc/self/mountinfo", "utf8")
      .split("\n")
      .filter((line) => line.includes(cluster.place.name) && /(?:volumes|sandboxes)\/[0-9a-f-]{36}/.test(line));
    return mounts.length === 0 ? mounts : undefined;
  });
  assert.deepEqual(left, []);
});
