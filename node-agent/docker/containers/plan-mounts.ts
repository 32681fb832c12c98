// Which volumes, folders and tmpfs a container gets, from the five ways to ask for them. Pure.
import { badRequest } from "../http/problem.ts";
import type { DriverOptions } from "../volumes/driver-options.ts";
import type { ContainerConfig, HostConfig, MountPoint, MountRequest } from "./record.ts";

export interface WantedMount extends Omit<MountPoint, "Source"> {
  /** A folder of the node; of a volume "": its place is known when it is made. */
  readonly Source: string;
  /** Of a bind: made when absent, as `-v` promises and `--mount` does not. */
  readonly makeSource: boolean;
  readonly labels: Readonly<Record<string, string>>;
  /** Of the local driver, for a volume that has to be made. */
  readonly volumeOptions: DriverOptions;
}

const plain = {
  Name: "",
  Source: "",
  Mode: "",
  RW: true,
  Propagation: "",
  anonymous: false,
  copyUp: false,
  recursive: true,
  options: [],
  makeSource: false,
  labels: {},
  volumeOptions: {},
  subpath: "",
} as const;

const propagations = ["private", "rprivate", "slave", "rslave", "shared", "rshared"];

export function isPropagation(word: string): boolean {
  return propagations.includes(word);
}

/** `inherited` are those of `--volumes-from`. A volume without a name is anonymous. */
export function planMounts(
  config: ContainerConfig,
  host: HostConfig,
  inherited: readonly MountPoint[],
): readonly WantedMount[] {
  const wanted = [
    ...host.Binds.map(parseBind),
    ...host.Mounts.map(fromRequest),
    ...Object.entries(host.Tmpfs).map(([target, options]) => tmpfs(target, options)),
  ];
  const taken = new Set<string>();
  for (const { Destination } of wanted) {
    if (taken.has(Destination)) throw badRequest(`Duplicate mount point: ${Destination}`);
    taken.add(Destination);
  }
  const add = (more: readonly WantedMount[]) => {
    for (const mount of more.filter(({ Destination }) => !taken.has(Destination))) {
      taken.add(mount.Destination);
      wanted.push(mount);
    }
  };
  add(inherited.map((mount) => ({ ...plain, ...mount, anonymous: false })));
  add(config.Volumes.map((path) => anonymousVolume(checkTarget(path))));
  return wanted;
}

const bindWords = ["ro", "rw", "z", "Z", "nocopy", "cached", "delegated", "consistent"];

/** "/host:/inside:ro", "name:/inside", "/inside". */
export function parseBind(text: string): WantedMount {
  const parts = text.split(":");
  const [first = "", second, mode = ""] = parts;
  if (parts.length > 3 || first === "") throw badRequest(`invalid volume specification: '${text}'`);
  if (second === undefined) return anonymousVolume(checkTarget(first));
  const Destination = checkTarget(second);
  const words = mode === "" ? [] : mode.split(",");
  const Propagation = words.find(isPropagation);
  const known = [...(first.startsWith("/") ? propagations : []), ...bindWords];
  if (words.some((word) => !known.includes(word)) || words.filter(isPropagation).length > 1)
    throw badRequest(`invalid mode: ${mode} (of volume '${text}')`);
  const common = { ...plain, Destination, Mode: mode, RW: !words.includes("ro") };
  if (first.startsWith("/"))
    return { ...common, Type: "bind", Source: normal(first), Propagation: Propagation ?? "rprivate", makeSource: true };
  return {
    ...common,
    Type: "volume",
    Name: checkVolumeName(first),
    copyUp: !words.includes("nocopy"),
    Mode: mode || "z",
  };
}

function fromRequest(request: MountRequest): WantedMount {
  const { Type, Source, ReadOnly } = request;
  const common = { ...plain, Destination: checkTarget(request.Target), RW: !ReadOnly };
  switch (Type) {
    case "bind":
      if (!Source.startsWith("/"))
        throw badRequest(
          `invalid mount config for type "bind": invalid mount path: '${Source}' mount path must be absolute`,
        );
      return {
        ...common,
        Type,
        Source: normal(Source),
        Propagation: request.BindOptions?.Propagation ?? "rprivate",
        recursive: request.BindOptions?.NonRecursive !== true,
        makeSource: request.BindOptions?.CreateMountpoint === true,
      };
    case "volume": {
      const { NoCopy = false, Labels = {}, Subpath = "", Options = {} } = request.VolumeOptions ?? {};
      return {
        ...common,
        Type,
        Name: Source === "" ? "" : checkVolumeName(Source),
        anonymous: Source === "",
        copyUp: !NoCopy,
        Mode: "z",
        labels: Labels,
        volumeOptions: Options,
        subpath: checkSubpath(Subpath),
      };
    }
    case "tmpfs": {
      if (Source !== "") throw badRequest('invalid mount config for type "tmpfs": field Source must not be specified');
      const { SizeBytes = 0, Mode = 0 } = request.TmpfsOptions ?? {};
      const words = [
        ...(SizeBytes > 0 ? [`size=${SizeBytes}`] : []),
        ...(Mode > 0 ? [`mode=${Mode.toString(8)}`] : []),
      ];
      return { ...tmpfs(request.Target, words.join(",")), RW: !ReadOnly };
    }
  }
}

function tmpfs(target: string, text: string): WantedMount {
  const words = text === "" ? [] : text.split(",");
  for (const word of words) {
    if (
      !/^(?:(?:size|nr_blocks|nr_inodes)=\d+[kmgKMG%]?|mode=[0-7]{1,5}|[ug]id=\d+|rw|ro|(?:no)?(?:exec|suid|dev|atime)|relatime|strictatime)$/.test(
        word,
      )
    )
      throw badRequest(`invalid tmpfs option ${JSON.stringify(word)} (of ${target})`);
  }
  const options = ["noexec", "nosuid", "nodev", ...words];
  return { ...plain, Type: "tmpfs", Destination: checkTarget(target), RW: !words.includes("ro"), options };
}

function anonymousVolume(Destination: string): WantedMount {
  return { ...plain, Type: "volume", Destination, anonymous: true, copyUp: true };
}

function checkTarget(path: string): string {
  const clean = normal(path);
  if (!path.startsWith("/")) throw badRequest(`invalid mount path: '${path}' mount path must be absolute`);
  if (clean === "/") throw badRequest("invalid volume specification: destination can't be '/'");
  return clean;
}

function checkVolumeName(name: string): string {
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]{1,254}$/.test(name))
    throw badRequest(
      `"${name}" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path`,
    );
  return name;
}

function checkSubpath(path: string): string {
  if (path.startsWith("/") || path.split("/").includes(".."))
    throw badRequest(`volume subpath ${JSON.stringify(path)}: must be relative and stay within the volume`);
  return path;
}

/** Without dots and doubled slashes. */
export function normal(path: string): string {
  const names: string[] = [];
  for (const name of path.split("/")) {
    if (name === "..") names.pop();
    else if (name !== "" && name !== ".") names.push(name);
  }
  return `/${names.join("/")}`;
}
