// From a container's record to what the runtime starts. Pure: everything looked up or made on disk comes in.
import type { AllowedDevice, ContainerSpec, Mount, Namespace, RareLimit } from "../../runtime/runtime.ts";
import { badRequest } from "../http/problem.ts";
import { logLimitsOf } from "./log-options.ts";
import { parseDeviceRule } from "./rare-limits.ts";
import type { ContainerRecord, MountPoint } from "./record.ts";
import { confinement, planResources } from "./security.ts";

export interface SpecInput {
  readonly record: ContainerRecord;
  readonly rootfs: Mount;
  readonly user: ContainerSpec["user"];
  readonly home: string;
  readonly hostname: string;
  readonly namespaces: readonly Namespace[];
  /** The node's folder of hosts, hostname and resolv.conf; undefined leaves the image's. */
  readonly files: Readonly<Record<"hosts" | "hostname" | "resolv.conf", string>>;
  readonly devices: readonly AllowedDevice[];
  /** Limits of controllers that few containers use. */
  readonly rare: readonly RareLimit[];
  readonly logPath: string | undefined;
  /** Places of the node's shared memory and message queues, as far as it has them. */
  readonly nodeIpc: readonly string[];
  /** For a container that says nothing of --pids-limit. */
  readonly pidsDefault: number;
  /** Variables that tell of linked containers. */
  readonly linked?: readonly string[];
  /** The program that becomes process 1 with --init. */
  readonly initPath: string;
}

/** Whose container it is, for whoever lists the runtime's. */
const ownerLabel = "naru.docker/container";
const initInside = "/sbin/docker-init";
const pathDefault = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

export function planSpec(input: SpecInput): ContainerSpec {
  const { record } = input;
  const { config, hostConfig } = record;
  const args = commandLine(record);
  const sharesNode = (type: string) => !input.namespaces.some((namespace) => namespace.type === type);
  return {
    id: record.id,
    labels: { [ownerLabel]: record.id },
    args: hostConfig.Init ? [initInside, "--", ...args] : args,
    env: environment(input),
    cwd: config.WorkingDir === "" ? "/" : config.WorkingDir,
    user: input.user,
    terminal: config.Tty,
    stdin: config.OpenStdin,
    ...(sharesNode("uts") ? {} : { hostname: input.hostname }),
    rootfs: input.rootfs,
    readonlyRootfs: hostConfig.ReadonlyRootfs,
    mounts: [
      ...fileMounts(input),
      ...ipcMounts(record, input.nodeIpc),
      ...record.mounts.map(planMount),
      ...(hostConfig.Init ? [bind(input.initPath, initInside, "ro")] : []),
    ],
    namespaces: input.namespaces,
    cgroupPath: `docker/${record.id}`,
    resources: { pidsMax: input.pidsDefault, ...planResources(hostConfig, hostConfig.OomScoreAdj, input.rare) },
    sysctls: {
      ...hostConfig.Sysctls,
      ...(config.Domainname === "" || sharesNode("uts") ? {} : { "kernel.domainname": config.Domainname }),
    },
    devices: input.devices,
    deviceRules: (hostConfig.DeviceCgroupRules ?? []).flatMap(parseDeviceRule),
    ...(input.logPath === undefined ? {} : { logPath: input.logPath, logLimits: logLimitsOf(hostConfig) }),
    ...confinement(hostConfig),
  };
}

/** Entrypoint and command as one line. */
export function commandLine({ config }: Pick<ContainerRecord, "config">): readonly string[] {
  const line = [...config.Entrypoint, ...config.Cmd];
  if (line.length === 0 || line[0] === "") throw badRequest("no command specified");
  return line;
}

function environment({ record, hostname, home, linked = [] }: SpecInput): readonly string[] {
  const { Env, Tty } = record.config;
  const given = new Set(Env.map((entry) => entry.split("=", 1)[0]));
  const defaults = [
    `PATH=${pathDefault}`,
    `HOSTNAME=${hostname}`,
    ...(Tty ? ["TERM=xterm"] : []),
    ...(home === "" ? [] : [`HOME=${home}`]),
    ...linked,
  ];
  return [...defaults.filter((entry) => !given.has(entry.split("=", 1)[0])), ...Env];
}

function fileMounts({ record, files }: SpecInput): readonly Mount[] {
  const taken = new Set(record.mounts.map(({ Destination }) => Destination));
  return (["hosts", "hostname", "resolv.conf"] as const)
    .filter((name) => !taken.has(`/etc/${name}`))
    .map((name) => bind(files[name], `/etc/${name}`, record.hostConfig.ReadonlyRootfs ? "ro" : "rw"));
}

function ipcMounts({ hostConfig }: ContainerRecord, nodeIpc: readonly string[]): readonly Mount[] {
  const { IpcMode, ShmSize } = hostConfig;
  if (IpcMode === "host") return nodeIpc.map((path) => bind(path, path, "rw"));
  const options = ["nosuid", "noexec", "nodev", "mode=1777", `size=${ShmSize}`];
  return [{ destination: "/dev/shm", type: "tmpfs", source: "shm", options }];
}

function planMount(mount: MountPoint): Mount {
  const { Destination: destination, RW } = mount;
  if (mount.Type === "tmpfs")
    return { destination, type: "tmpfs", source: "tmpfs", options: [...mount.options, RW ? "rw" : "ro"] };
  // As Docker since version 25: what is mounted below a read-only source is read-only too.
  const access = RW ? "rw" : mount.recursive ? "rro" : "ro";
  const propagation = /^r?(?:shared|slave)$/.test(mount.Propagation) ? [mount.Propagation] : [];
  const options = [mount.recursive ? "rbind" : "bind", access, ...propagation];
  const subPath = mount.subpath === "" ? {} : { subPath: mount.subpath };
  return { destination, type: "bind", source: mount.Source, ...subPath, options };
}

function bind(source: string, destination: string, access: "ro" | "rw"): Mount {
  return { destination, type: "bind", source, options: ["bind", access] };
}
