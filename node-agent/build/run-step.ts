// RUN: a container over the layers so far, confined like any other; what it changed becomes a layer.

import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Draft, Workshop } from "../images/workshop.ts";
import { defaultCapabilities, defaultMaskedPaths, defaultReadonlyPaths } from "../runtime/defaults.ts";
import { type ContainerSpec, LaunchError, type Mount, type Namespace, type Runtime } from "../runtime/runtime.ts";
import { buildLabel, buildSandboxPrefix } from "./build.ts";

/** What gives RUN steps a way out; without one they have their own loopback device and nothing else. */
export interface BuildNetwork {
  /** Links a fresh network namespace; the text becomes /etc/resolv.conf. */
  join(id: string, networkPath: string): Promise<{ readonly resolvConf: string }>;
  leave(id: string): Promise<void>;
}

export interface RunParts {
  readonly workshop: Workshop;
  readonly runtime: Runtime;
  readonly network: BuildNetwork | undefined;
}

export interface RunRequest {
  readonly diffIds: readonly string[];
  readonly draft: Draft;
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly cwd: string;
  readonly user: ContainerSpec["user"];
  readonly mounts: readonly Mount[];
  readonly network: "default" | "none" | "host";
  /** Lines of /etc/hosts besides the usual ones. */
  readonly hosts: readonly string[];
  readonly shmBytes: number | undefined;
  readonly onOutput: (stream: "stdout" | "stderr", data: Buffer) => void;
}

const pidsMax = 16_384;
const hostName = "buildkitsandbox";
const sigkill = 9;

export interface RunResult {
  readonly exitCode: number;
  /** Where mounts were: what is empty there was made for them. */
  readonly stubs: readonly string[];
}

/** Rejects with LaunchError when the command cannot be executed. The draft then holds what it changed. */
export async function runStep(parts: RunParts, request: RunRequest, signal: AbortSignal): Promise<RunResult> {
  const { workshop, runtime } = parts;
  const id = `build-${workshop.name()}`;
  await using stack = new AsyncDisposableStack();
  const files = join(workshop.directories.run, id);
  await mkdir(files, { recursive: true, mode: 0o700 });
  stack.defer(() => rm(files, { recursive: true, force: true }));
  const joined = await joinNetwork(parts, { id, mode: request.network, stack });
  const mounts = [...(await etcMounts(files, { ...request, resolvConf: joined.resolvConf })), ...request.mounts];
  const spec = makeSpec({
    id,
    request,
    mounts,
    namespaces: joined.namespaces,
    rootfs: workshop.mount(request.diffIds, request.draft),
  });
  signal.throwIfAborted();
  await runtime.create(spec);
  stack.defer(() => runtime.remove(id));
  const exitCode = await runToEnd(runtime, { id, onOutput: request.onOutput }, signal);
  // Mounts need places; those that were made for them are no part of the image.
  const stubs = ["/proc", "/dev", "/sys", ...mounts.map(({ destination }) => destination)];
  return { exitCode, stubs: stubs.map((path) => path.replace(/^\/+|\/+$/g, "")) };
}

async function runToEnd(
  runtime: Runtime,
  { id, onOutput }: { readonly id: string; readonly onOutput: RunRequest["onOutput"] },
  signal: AbortSignal,
): Promise<number> {
  const kill = () => void runtime.signal(id, sigkill, "all").catch(() => {});
  signal.addEventListener("abort", kill, { once: true });
  try {
    await runtime.start(id, { holdOutput: true });
    const streams = await runtime.attach(id, signal);
    const outputs = (["stdout", "stderr"] as const).map(async (name) => {
      for await (const part of streams[name] ?? []) onOutput(name, Buffer.from(part as Uint8Array));
    });
    const { exitCode } = await runtime.wait(id, signal);
    await Promise.allSettled(outputs);
    return exitCode;
  } finally {
    signal.removeEventListener("abort", kill);
  }
}

async function joinNetwork(
  { runtime, network }: RunParts,
  {
    id,
    mode,
    stack,
  }: { readonly id: string; readonly mode: RunRequest["network"]; readonly stack: AsyncDisposableStack },
): Promise<{ readonly namespaces: readonly Namespace[]; readonly resolvConf: string | undefined }> {
  const own: readonly Namespace[] = (["mount", "pid", "ipc", "uts", "cgroup"] as const).map((type) => ({ type }));
  if (mode === "host") return { namespaces: own, resolvConf: undefined };
  if (mode === "none" || network === undefined) return { namespaces: [...own, { type: "network" }], resolvConf: "" };
  const name = `${buildSandboxPrefix}${id}`;
  const sandbox = await runtime.createSandbox(name, { hostname: hostName, hostNetwork: false, sysctls: {} });
  stack.defer(() => runtime.removeSandbox(name));
  const { resolvConf } = await network.join(name, sandbox.networkPath);
  stack.defer(() => network.leave(name));
  return { namespaces: [...own, { type: "network", path: sandbox.networkPath }], resolvConf };
}

async function etcMounts(
  folder: string,
  {
    hosts,
    resolvConf,
    shmBytes,
  }: {
    readonly hosts: readonly string[];
    readonly resolvConf: string | undefined;
    readonly shmBytes: number | undefined;
  },
): Promise<readonly Mount[]> {
  const lines = ["127.0.0.1 localhost", "::1 localhost ip6-localhost ip6-loopback", `127.0.1.1 ${hostName}`, ...hosts];
  await writeFile(join(folder, "hosts"), `${lines.join("\n")}\n`, { mode: 0o644 });
  if (resolvConf !== undefined) await writeFile(join(folder, "resolv.conf"), resolvConf, { mode: 0o644 });
  const bind = (source: string, name: string): Mount => ({
    destination: `/etc/${name}`,
    type: "bind",
    source,
    options: ["rbind", "ro"],
  });
  return [
    bind(join(folder, "hosts"), "hosts"),
    bind(resolvConf === undefined ? "/etc/resolv.conf" : join(folder, "resolv.conf"), "resolv.conf"),
    ...(shmBytes === undefined
      ? []
      : [
          {
            destination: "/dev/shm",
            type: "tmpfs",
            source: "shm",
            options: ["nosuid", "noexec", "nodev", "mode=1777", `size=${shmBytes}`],
          },
        ]),
  ];
}

function makeSpec(of: {
  readonly id: string;
  readonly request: RunRequest;
  readonly mounts: readonly Mount[];
  readonly namespaces: readonly Namespace[];
  readonly rootfs: Mount;
}): ContainerSpec {
  const { id, request, mounts, namespaces, rootfs } = of;
  return {
    id,
    labels: { [buildLabel]: "step" },
    args: request.args,
    env: request.env,
    cwd: request.cwd === "" ? "/" : request.cwd,
    user: request.user,
    terminal: false,
    stdin: false,
    ...(request.network === "host" ? {} : { hostname: hostName }),
    rootfs,
    readonlyRootfs: false,
    mounts,
    namespaces,
    cgroupPath: `build/${id}`,
    resources: { pidsMax },
    capabilities: defaultCapabilities,
    noNewPrivileges: false,
    privileged: false,
    seccomp: "default",
    maskedPaths: defaultMaskedPaths,
    readonlyPaths: defaultReadonlyPaths,
    sysctls: {},
    rlimits: [],
  };
}

export function explainLaunch(error: unknown): string | undefined {
  return error instanceof LaunchError ? error.message : undefined;
}
