// What another OCI runtime is given, whole, as golden files: `REWRITE=1` writes them anew.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { planParent } from "./cgroups.ts";
import type { LaunchOp } from "./launch-op.ts";
import { ociConfig, writeOciJson } from "./oci-config.ts";
import { ociMounts } from "./oci-mounts.ts";
import { ociPlaces, planOciExec, planOciStart } from "./oci-plan.ts";
import { ociExecProcess } from "./oci-process.ts";
import { ociSeccomp } from "./oci-seccomp.ts";
import type { ContainerSpec } from "./runtime.ts";
import { sampleSpec } from "./sample-spec.ts";

const spec: ContainerSpec = {
  ...sampleSpec,
  runtime: "runc",
  resources: { ...sampleSpec.resources, cpuShares: 512, cpuQuotaUs: 50_000, cpuPeriodUs: 100_000, pidsMax: 9 },
  resourcesAbove: { memoryBytesMax: 1 << 21 },
  capabilities: sampleSpec.capabilities.slice(0, 3),
  appArmorProfile: "mine",
};
const directory = "/state/web-0/bundle";
const rules = [
  { names: ["read", "write"], action: "SCMP_ACT_ALLOW" },
  { names: ["bpf"], action: "SCMP_ACT_ALLOW", includes: { caps: ["CAP_BPF"] } },
  { names: ["clone3"], action: "SCMP_ACT_ERRNO", errnoRet: 38, excludes: { caps: ["CAP_SYS_ADMIN"] } },
  { names: ["socket"], action: "SCMP_ACT_ALLOW", args: [{ index: 0, value: 40, op: "SCMP_CMP_GT" }] },
];
const profile = { defaultAction: "SCMP_ACT_ERRNO", defaultErrnoRet: 1, syscalls: rules };

function config(of: ContainerSpec): string {
  const { mounts, rootfsPropagation } = ociMounts(of, `${directory}/mounts`);
  const made = ociConfig(of, {
    rootfsPath: "/run/rootfs",
    cgroupsPath: `/naru/${of.cgroupPath}`,
    mounts,
    rootfsPropagation,
    seccomp: of.privileged
      ? undefined
      : ociSeccomp(profile, { capabilities: of.capabilities, kernel: [6, 1] }, "arm64"),
    hostDevices: [{ path: "/dev/fuse", type: "c", major: 10, minor: 229, mode: 0o666 }],
    countsSwap: true,
  });
  // JavaScript would read another number than the one that is written.
  const text = writeOciJson(made).replaceAll("18446744073709551615", '"18446744073709551615 as a number"');
  return `${JSON.stringify(JSON.parse(text), undefined, 1)}\n`;
}

function golden(name: string, text: string): void {
  const path = new URL(`testdata/${name}`, import.meta.url);
  if (process.env["REWRITE"] === "1") writeFileSync(path, text);
  assert.equal(text, readFileSync(path, "utf8"));
}

function lines(ops: readonly LaunchOp[]): string {
  return `${ops.map((op) => op.map(String).join(" ")).join("\n")}\n`;
}

const command = { words: ["/usr/sbin/runc", "--root", "/run/oci/runc"], env: ["PATH=/bin"] };

test("every word of a container in a sandbox ociConfig", () => {
  golden("oci-config.txt", config(spec));
});

test("a privileged container has the node's devices, and nothing holds it in ociConfig", () => {
  golden("oci-privileged.txt", config({ ...spec, privileged: true, terminal: true, mounts: [] }));
});

test("users of its own are joined by path and mapped, what it mounts is prepared with them ociConfig", () => {
  const { linux, mounts } = JSON.parse(
    writeOciJson(
      ociConfig(mapped, {
        rootfsPath: "/r",
        cgroupsPath: "/c",
        mounts: ociMounts(mapped, "/stage").mounts,
        rootfsPropagation: undefined,
        seccomp: undefined,
        hostDevices: [],
        countsSwap: false,
      }),
    ),
  );
  const id = [{ containerID: 0, hostID: 131_072, size: 65_536 }];
  assert.deepEqual(
    [
      linux.uidMappings,
      linux.gidMappings,
      linux.namespaces.at(-1),
      linux.resources.memory,
      mounts.find(({ destination }: { destination: string }) => destination === "/data"),
    ],
    [
      id,
      id,
      { type: "user", path: "/run/s/user" },
      { limit: 1 << 20 },
      { destination: "/data", type: "bind", source: "/stage/3", options: ["rbind"] },
    ],
  );
  assert.throws(() => config({ ...spec, namespaces: [{ type: "user" }] }), /user namespace: it is joined by its path/);
});

const mapped: ContainerSpec = {
  ...spec,
  idMapping: { hostId: 131_072, size: 65_536 },
  namespaces: [...spec.namespaces, { type: "user", path: "/run/s/user" }],
  mounts: [{ destination: "/data", type: "bind", source: "/volumes/a", options: ["rbind", "ridmap"] }],
};

test("every step until another runtime has made a container planOciStart", () => {
  const context = {
    command,
    directory,
    above: planParent({ version: 2, mount: "/cg" }, "/naru/pod1", { memoryBytesMax: 1 << 21 }),
    oom: { path: "/cg/naru/pod1/web-0/memory.events", key: "oom_kill" },
    logFileBytesMax: 1000,
    logFilesMax: 2,
    holdOutput: false,
  };
  const plan = (of: ContainerSpec) => lines(planOciStart(of, { ...context, ...staged(of) }));
  const staged = (of: ContainerSpec) => {
    const places = ociPlaces(of, { rootfsPath: "/run/rootfs", bundle: directory });
    return { places, mounts: ociMounts(of, places.stage) };
  };
  golden("oci-start.txt", `${plan(spec)}\n${plan({ ...mapped, terminal: true, stdin: true })}`);
});

test("every step of another process in it planOciExec, ociExecProcess", () => {
  const request = { args: ["sh"], env: ["A=2"], terminal: true, stdin: true, privileged: true };
  const { capabilities, ...process } = ociExecProcess(spec, request);
  assert.deepEqual(
    [process, capabilities.bounding.length],
    [
      {
        terminal: true,
        user: spec.user,
        args: ["sh"],
        env: ["PATH=/bin", "A=2"],
        cwd: "/srv",
        rlimits: spec.rlimits,
        noNewPrivileges: true,
        oomScoreAdj: 500,
        apparmorProfile: "mine",
      },
      3,
    ],
  );
  golden("oci-exec.txt", lines(planOciExec(spec, request, { command, directory: "/state/web-0/exec-1" })));
});
