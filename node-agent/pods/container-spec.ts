// From a pod's container to what the runtime starts. Pure: everything looked up or made on disk comes in.
import type { Container, Pod } from "../../api/kinds/generated/types.ts";
import type { Image } from "../images/images.ts";
import { parseReference } from "../images/reference.ts";
import { type AppArmor, noAppArmor } from "../runtime/apparmor.ts";
import type { ContainerSpec, Mount, Namespace, Sandbox } from "../runtime/runtime.ts";
import { appArmorProfile } from "./apparmor.ts";
import { ConfigError } from "./container-env.ts";
import { containerId, writeLabels } from "./container-labels.ts";
import { expand } from "./expand.ts";
import type { ContainerRole } from "./pod-state.ts";
import { containerResources, podResources } from "./resource-limits.ts";
import { confinement, containerUser, type UnixUser } from "./security.ts";
import { specialMounts } from "./special-mounts.ts";

export interface ContainerSpecInput {
  readonly pod: Pod;
  readonly container: Container;
  readonly role: ContainerRole;
  readonly attempt: number;
  readonly image: Image;
  /** The one to run as, resolved in the image's files. */
  readonly imageUser: UnixUser;
  readonly env: ReadonlyMap<string, string>;
  readonly rootfs: Mount;
  /** Volumes and the files that the agent makes (/etc/hosts, …), outermost first. */
  readonly mounts: readonly Mount[];
  readonly sandbox: Sandbox;
  /** The pod's, below the node's own. */
  readonly cgroup: string;
  /** The pid namespace of the container that an ephemeral one looks at. */
  readonly targetPidPath?: string | undefined;
  readonly hostname: string;
  readonly logPath: string;
  readonly memoryCapacityBytes: number;
  readonly seccompProfile: (name: string) => unknown;
  readonly appArmor?: AppArmor | undefined;
}

/** Throws ConfigError for what cannot be made. */
export function containerSpec(input: ContainerSpecInput): ContainerSpec {
  const { pod, container, image } = input;
  const uid = pod.metadata?.uid ?? "";
  const id = containerId(uid, container.name, input.attempt);
  const confined = confinement(pod, container, input.seccompProfile);
  const profile = appArmorProfile(pod, container, input.appArmor ?? noAppArmor);
  const user = containerUser(pod, container, input.imageUser);
  return {
    id,
    ...(input.sandbox.runtime === undefined ? {} : { runtime: input.sandbox.runtime }),
    labels: writeLabels({
      podUid: uid,
      podNamespace: pod.metadata?.namespace ?? "default",
      podName: pod.metadata?.name ?? "",
      name: container.name,
      role: input.role,
      attempt: input.attempt,
      image: container.image ?? "",
      imageId: image.id,
      imagePin: pinOf(image, container.image ?? ""),
      user,
    }),
    args: commandLine(container, image, input.env),
    env: environment(input.env, container, user.uid, input.hostname),
    cwd: workingDir(container, image),
    user,
    terminal: container.tty === true,
    stdin: container.stdin === true,
    ...(pod.spec?.hostNetwork === true ? {} : { hostname: input.hostname }),
    rootfs: input.rootfs,
    mounts: [
      ...specialMounts({ privileged: confined.privileged, hostNetwork: pod.spec?.hostNetwork === true }),
      ...(input.sandbox.idMapping === undefined ? input.mounts : input.mounts.map(withOwnUsers)),
    ],
    namespaces: namespaces(pod, input.sandbox, input.targetPidPath),
    ...(input.sandbox.idMapping === undefined ? {} : { idMapping: input.sandbox.idMapping }),
    cgroupPath: `${input.cgroup}/${id}`,
    resources: containerResources(container, pod, input.memoryCapacityBytes),
    resourcesAbove: podResources(pod),
    // The sandbox sets the pod's sysctls: they belong to its namespaces.
    sysctls: {},
    // The agent's own: raising them needs a privilege that it may not have.
    rlimits: [],
    logPath: input.logPath,
    ...(profile === undefined ? {} : { appArmorProfile: profile }),
    ...confined,
  };
}

// The digest under the name that the pod asked for, when there is one.
function pinOf({ id, digests }: Image, reference: string): string {
  const { registry, repository } = parseReference(reference);
  return digests.find((digest) => digest.startsWith(`${registry}/${repository}@`)) ?? digests[0] ?? id;
}

/** As of variables (container-env.ts). */
const argumentCharsMax = 6 * 1024 * 1024;

// command replaces entrypoint and cmd; args alone replace cmd.
function commandLine(container: Container, image: Image, env: ReadonlyMap<string, string>): readonly string[] {
  const expanded = (words: readonly string[]) => words.map((word) => expand(word, (name) => env.get(name)));
  const { command = [], args = [] } = container;
  const line =
    command.length > 0
      ? [...expanded(command), ...expanded(args)]
      : [...image.config.entrypoint, ...(args.length > 0 ? expanded(args) : image.config.cmd)];
  if (line.reduce((sum, word) => sum + word.length, 0) > argumentCharsMax)
    throw new ConfigError(
      `command and args have more than ${argumentCharsMax} characters, the most that the kernel takes`,
    );
  if (line.length === 0)
    throw new ConfigError(`no command specified: neither the image nor container ${container.name} has one`);
  return line;
}

function environment(
  env: ReadonlyMap<string, string>,
  container: Container,
  uid: number,
  hostname: string,
): readonly string[] {
  const all = new Map(env);
  if (!all.has("PATH")) all.set("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
  if (!all.has("HOSTNAME")) all.set("HOSTNAME", hostname);
  if (uid === 0 && !all.has("HOME")) all.set("HOME", "/root");
  if (container.tty === true && !all.has("TERM")) all.set("TERM", "xterm");
  return [...all].map(([name, value]) => `${name}=${value}`);
}

function workingDir(container: Container, image: Image): string {
  const dir = container.workingDir ?? "";
  if (dir !== "") return dir;
  return image.config.workingDir === "" ? "/" : image.config.workingDir;
}

/** Files of a volume keep their owners' numbers, inside and on the disk. */
function withOwnUsers(mount: Mount): Mount {
  return mount.type === "bind" ? { ...mount, options: [...mount.options, "ridmap"] } : mount;
}

function namespaces(pod: Pod, sandbox: Sandbox, targetPidPath: string | undefined): readonly Namespace[] {
  const spec = pod.spec ?? { containers: [] };
  const pidPath = targetPidPath ?? sandbox.pidPath;
  return [
    { type: "mount" },
    ...(spec.hostPID === true ? [] : [{ type: "pid" as const, ...(pidPath === undefined ? {} : { path: pidPath }) }]),
    { type: "cgroup" },
    ...(sandbox.userPath === undefined ? [] : [{ type: "user" as const, path: sandbox.userPath }]),
    ...(spec.hostNetwork === true ? [] : [{ type: "network" as const, path: sandbox.networkPath }]),
    ...(spec.hostIPC === true ? [] : [{ type: "ipc" as const, path: sandbox.ipcPath }]),
    ...(spec.hostNetwork === true ? [] : [{ type: "uts" as const, path: sandbox.utsPath }]),
  ];
}
