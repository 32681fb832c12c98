// What "create a container" is read into: settings over the image's, mounts, privileges, options that are refused by name.
import assert from "node:assert/strict";
import { test } from "node:test";
import { JsonObject } from "../http/json.ts";
import { type ImageDefaults, parseCreate } from "./parse-config.ts";
import { parseBind, planMounts } from "./plan-mounts.ts";
import { capabilities, confinement, planResources } from "./security.ts";

const image: ImageDefaults = {
  User: "app",
  ExposedPorts: ["80/tcp"],
  Env: ["PATH=/bin", "A=1"],
  Cmd: ["serve"],
  Entrypoint: ["/entry"],
  Volumes: ["/data"],
  WorkingDir: "/srv",
  Labels: { a: "image" },
  StopSignal: "SIGQUIT",
  Healthcheck: { Test: ["CMD", "check"], Interval: 5e9, Timeout: 0, StartPeriod: 0, StartInterval: 0, Retries: 4 },
};
const create = (body: object) => parseCreate(new JsonObject({ Image: "x", ...body }), image);
const host = (hostConfig: object) => create({ HostConfig: hostConfig });
const refusal = (run: () => unknown) => {
  try {
    run();
    return "no refusal";
  } catch (error) {
    return (error as Error).message;
  }
};

test("parseCreate takes from the image what the client leaves open", () => {
  const { config } = create({ Env: ["A=2", "B=3", "PATH"], Labels: { b: "own" }, Healthcheck: { Retries: 1 } });
  const { User, ExposedPorts, Env, Cmd, Entrypoint, Volumes, WorkingDir, Labels, StopSignal, Healthcheck } = config;
  assert.deepEqual(
    { User, ExposedPorts, Env, Cmd, Entrypoint, Volumes, WorkingDir, Labels, StopSignal, Healthcheck },
    {
      ...image,
      Env: ["A=2", "B=3"],
      Labels: { a: "image", b: "own" },
      Healthcheck: { ...image.Healthcheck, Retries: 1 },
    },
  );
});

test("parseCreate leaves the image's arguments behind with an entrypoint of the client's own", () => {
  const lines = [
    {},
    { Cmd: ["x"] },
    { Entrypoint: ["/own"] },
    { Entrypoint: [""] },
    { Entrypoint: "/one", Cmd: ["y"] },
  ].map((body) => {
    const { config } = create(body);
    return [...config.Entrypoint, ...config.Cmd];
  });
  assert.deepEqual(lines, [["/entry", "serve"], ["/entry", "x"], ["/own"], [], ["/one", "y"]]);
});

test("parseCreate refuses what cannot be, and what Naru does not act on, by name", () => {
  assert.deepEqual(
    [
      () => host({ Memory: 1024 }),
      () => host({ MemorySwap: 10 }),
      () => host({ Memory: 1e8, MemorySwap: 1e7 }),
      () => host({ NanoCpus: 1, CpuQuota: 1000 }),
      () => host({ RestartPolicy: { Name: "sometimes" } }),
      () => host({ RestartPolicy: { Name: "always", MaximumRetryCount: 3 } }),
      () => host({ RestartPolicy: { Name: "always" }, AutoRemove: true }),
      () => host({ PortBindings: { "99999/tcp": [] } }),
      () => host({ PortBindings: { "80/tcp": [{ HostPort: "many" }] } }),
      () => host({ DeviceRequests: [{ Count: -1 }] }),
      () => host({ NewThing: { x: 1 } }),
      () => create({ NetworkDisabled: true }),
      () => create({ Healthcheck: { Test: ["RUN"] } }),
    ].map(refusal),
    [
      "Minimum memory limit allowed is 6MB, got 1024 bytes",
      "You should always set the Memory limit when using Memoryswap limit, see usage",
      "Minimum memoryswap limit should be larger than memory limit, see usage",
      "Conflicting options: Nano CPUs and CPU Period or Quota cannot both be set",
      "invalid restart policy: unknown policy 'sometimes'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'",
      "invalid restart policy: maximum retry count can only be used with 'on-failure'",
      "can't create 'AutoRemove' container with restart policy",
      'invalid port specification: "99999/tcp"',
      'invalid port specification: "many"',
      'HostConfig.DeviceRequests: could not select device driver "" with capabilities: [[gpu]]: Naru gives containers devices by path (--device), and has no drivers for --gpus',
      'HostConfig.NewThing is not supported by Naru, got {"x":1}',
      "NetworkDisabled is not supported by Naru, got true",
      'Healthcheck.Test: begins with NONE, CMD or CMD-SHELL, got "RUN"',
    ],
  );
});

test("parseCreate warns of what only tunes, and is silent about what means nothing", () => {
  const { warnings } = host({
    KernelMemory: 1e8,
    MemorySwappiness: -1,
    OomKillDisable: false,
    Isolation: "",
    Runtime: "runc",
    LogConfig: { Type: "json-file", Config: { "max-size": "1m", "max-file": "20", labels: "a" } },
  });
  assert.deepEqual(warnings, [
    "HostConfig.KernelMemory is not supported: kernel memory is not limited apart",
    "HostConfig.LogConfig.labels is not supported: the option is not applied",
    "HostConfig.LogConfig.max-file=20 is more than Naru keeps: 10 files",
  ]);
});

test("parseBind reads folders, names and modes", () => {
  const brief = (text: string) => {
    const { Type, Name, Source, Destination, RW, copyUp, anonymous } = parseBind(text);
    return [Type, Name, Source, Destination, RW, copyUp, anonymous];
  };
  assert.deepEqual(["/a/../b:/in:ro", "named:/in", "named:/in:nocopy", "/only"].map(brief), [
    ["bind", "", "/b", "/in", false, false, false],
    ["volume", "named", "", "/in", true, true, false],
    ["volume", "named", "", "/in", true, false, false],
    ["volume", "", "", "/only", true, true, true],
  ]);
  assert.deepEqual(
    ["a:b:c:d", "x:/y:sideways", "/a:relative", "/a:/", "bad name:/x", ""].map((text) =>
      refusal(() => parseBind(text)),
    ),
    [
      "invalid volume specification: 'a:b:c:d'",
      "invalid mode: sideways (of volume 'x:/y:sideways')",
      "invalid mount path: 'relative' mount path must be absolute",
      "invalid volume specification: destination can't be '/'",
      '"bad name" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path',
      "invalid volume specification: ''",
    ],
  );
});

test("planMounts lets the client's mounts win over inherited ones and the image's volumes", () => {
  const { config, hostConfig } = host({
    Binds: ["/mine:/data"],
    Tmpfs: { "/tmp": "size=1m" },
    Mounts: [{ Type: "volume", Source: "vv", Target: "/more", ReadOnly: true }],
  });
  const inherited = { ...parseBind("other:/inherited"), Source: "/volumes/other", anonymous: true };
  const planned = planMounts(config, hostConfig, [inherited, { ...inherited, Destination: "/more" }]);
  assert.deepEqual(
    planned.map(({ Type, Name, Destination, RW }) => [Type, Name, Destination, RW]),
    [
      ["bind", "", "/data", true],
      ["volume", "vv", "/more", false],
      ["tmpfs", "", "/tmp", true],
      ["volume", "other", "/inherited", true],
    ],
  );
  assert.equal(planned.at(-1)?.anonymous, false, "it belongs to the other container");
  assert.equal(
    refusal(() => planMounts(config, { ...hostConfig, Binds: ["/a:/x", "/b:/x/"] }, [])),
    "Duplicate mount point: /x",
  );
});

test("capabilities adds and drops by name", () => {
  assert.deepEqual(capabilities(["net_admin"], ["all"]), ["CAP_NET_ADMIN"]);
  assert.deepEqual(
    [
      capabilities(["ALL"], ["CAP_CHOWN"]).includes("CAP_CHOWN"),
      capabilities(["ALL"], []).length,
      capabilities([], []).length,
    ],
    [false, 41, 14],
  );
  assert.equal(
    refusal(() => capabilities(["FLY"], [])),
    'invalid capability: unknown capability "FLY"',
  );
});

test("confinement reads security options and ulimits", () => {
  const { hostConfig } = host({
    SecurityOpt: ["no-new-privileges", "seccomp=unconfined", "label=disable"],
    Ulimits: [{ Name: "nofile", Soft: 10, Hard: 20 }],
    MaskedPaths: [],
  });
  const { noNewPrivileges, seccomp, rlimits, maskedPaths } = confinement(hostConfig);
  assert.deepEqual(
    { noNewPrivileges, seccomp, rlimits, maskedPaths },
    {
      noNewPrivileges: true,
      seccomp: "unconfined",
      rlimits: [{ type: "RLIMIT_NOFILE", soft: 10, hard: 20 }],
      maskedPaths: [],
    },
  );
  assert.deepEqual(
    [
      { SecurityOpt: ["apparmor=mine"] },
      { Ulimits: [{ Name: "wrong", Soft: 1, Hard: 1 }] },
      { Ulimits: [{ Name: "core", Soft: 2, Hard: 1 }] },
    ].map((options) => refusal(() => confinement(host(options).hostConfig)).slice(0, 40)),
    [
      'invalid --security-opt: "apparmor=mine":',
      "invalid ulimit type: wrong",
      "ulimit soft limit must be less than or e",
    ],
  );
});

test("planResources turns CPUs into a quota and gives as much swap as memory", () => {
  const { hostConfig } = host({ NanoCpus: 1.5e9, Memory: 1e8, PidsLimit: 7, CpuShares: 512 });
  assert.deepEqual(planResources(hostConfig, 5), {
    cpuShares: 512,
    cpuPeriodUs: 100_000,
    cpuQuotaUs: 150_000,
    memoryBytesMax: 1e8,
    memorySwapBytesMax: 2e8,
    pidsMax: 7,
    oomScoreAdj: 5,
  });
  assert.deepEqual(planResources(host({}).hostConfig, 0), { oomScoreAdj: 0 });
  assert.deepEqual(planResources(host({ PidsLimit: -1 }).hostConfig, 0), { pidsMax: -1, oomScoreAdj: 0 });
});
