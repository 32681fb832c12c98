// Fields of a service about what is mounted: volumes, folders of the node, memory, configs, secrets.
import { basename } from "node:path";
import type { Volume, VolumeMount } from "../../api/kinds/generated/types.ts";
import { type FileSource, objectName, type ServiceDraft } from "../draft.ts";
import type { Node, Place } from "../nodes.ts";
import { fileBeside } from "../paths.ts";
import { type Fields, type Reader, without } from "../read.ts";

interface Mount {
  type?: string;
  source?: string;
  target?: string;
  readOnly?: boolean;
  subPath?: string;
  tmpfsBytes?: number;
  propagation?: string;
}

export const storageFields: Fields<ServiceDraft> = {
  volumes: (draft, node, reader) => {
    for (const item of reader.list(node, "volumes")) {
      const mount = item.type === "map" ? longMount(item, reader) : shortMount(item, reader);
      if (mount !== undefined) addMount(draft, mount, item.place, reader);
    }
  },
  tmpfs: (draft, node, reader) => {
    for (const text of reader.texts(node, "tmpfs")) {
      const [target = "", options = ""] = text.split(":");
      let tmpfsBytes: number | undefined;
      for (const option of options.split(",")) {
        const [name, value = ""] = option.split("=");
        if (name === "size") tmpfsBytes = reader.bytes({ type: "scalar", place: node.place, value }, "tmpfs size");
        else if (!asAlways.has(option))
          reader.note(node.place, `tmpfs: ${option} is left out: memory that is mounted is writable for all`);
      }
      addMount(
        draft,
        { type: "tmpfs", target, ...(tmpfsBytes === undefined ? {} : { tmpfsBytes }) },
        node.place,
        reader,
      );
    }
  },
  configs: (draft, node, reader) => {
    for (const item of reader.list(node, "configs")) addFile(draft, item, reader, "configs");
  },
  secrets: (draft, node, reader) => {
    for (const item of reader.list(node, "secrets")) addFile(draft, item, reader, "secrets");
  },
  volumes_from: without("name the volumes that both use"),
  volume_driver: without("the cluster has the volumes"),
};

/** What memory is mounted with anyway. */
const asAlways = new Set(["", "rw", "nosuid", "nodev"]);

function addMount(draft: ServiceDraft, mount: Mount, place: Place, reader: Reader): void {
  if (mount.target === undefined || !mount.target.startsWith("/")) {
    reader.fail(
      place,
      `volumes: a mount's target is a path in the container such as /data, got ${JSON.stringify(mount.target ?? "")}`,
    );
    return;
  }
  const source = volumeSource(draft, mount, place, reader);
  if (source === undefined) return;
  const name = nameOf(draft, source);
  draft.mounts.push({
    name,
    mountPath: mount.target,
    ...(mount.readOnly === true ? { readOnly: true } : {}),
    ...(mount.subPath === undefined ? {} : { subPath: mount.subPath }),
    ...(mount.propagation === undefined ? {} : { mountPropagation: mount.propagation }),
  });
}

// Several mounts of one source share one volume of the pod.
function nameOf(draft: ServiceDraft, source: Omit<Volume, "name">): string {
  const text = JSON.stringify(source);
  const known =
    "emptyDir" in source ? undefined : draft.volumes.find(({ name: _, ...other }) => JSON.stringify(other) === text);
  if (known !== undefined) return known.name;
  const name = `volume-${draft.volumes.length}`;
  draft.volumes.push({ name, ...source });
  return name;
}

function volumeSource(
  draft: ServiceDraft,
  mount: Mount,
  place: Place,
  reader: Reader,
): Omit<Volume, "name"> | undefined {
  const { source = "", type } = mount;
  switch (type) {
    case "tmpfs": {
      const sizeLimit = mount.tmpfsBytes === undefined ? {} : { sizeLimit: String(mount.tmpfsBytes) };
      return { emptyDir: { medium: "Memory", ...sizeLimit } };
    }
    case "volume": {
      if (source === "") return { emptyDir: {} };
      const volume = draft.project.volumes.get(source);
      if (volume === undefined)
        return reader.fail(
          place,
          `volumes: there is no volume ${source}: name it in the file's own volumes, or write ./${source} for a folder`,
        );
      return { persistentVolumeClaim: { claimName: volume.objectName } };
    }
    case "bind": {
      const path = source.startsWith("~")
        ? `${draft.project.variables["HOME"] ?? "/root"}${source.slice(1)}`
        : fileBeside(draft.project.directory, source);
      reader.note(
        place,
        `${path} is a folder of the node that a pod runs on: keep the same on every node, or use a volume or a config`,
      );
      return { hostPath: { path, type: draft.project.readText(path) === undefined ? "DirectoryOrCreate" : "File" } };
    }
    case "image":
      return { image: { reference: source } };
    default:
      return reader.fail(place, `volumes: type ${type} has no equivalent: bind, volume, tmpfs and image are known`);
  }
}

// [SOURCE:]TARGET[:MODE]
function shortMount(node: Node, reader: Reader): Mount | undefined {
  const text = reader.text(node, "volumes");
  if (text === undefined) return undefined;
  const parts = text.split(":");
  if (parts.length > 3)
    return reader.fail(node.place, `volumes takes SOURCE:TARGET[:MODE], got ${JSON.stringify(text)}`);
  if (parts.length === 1) return { type: "volume", target: text };
  const [source = "", target = "", mode = ""] = parts;
  const words = mode.split(",").filter((word) => word !== "");
  for (const word of words) if (!knownModes.has(word)) reader.note(node.place, `volumes: mode ${word} is left out`);
  const propagation = words.includes("rslave")
    ? "HostToContainer"
    : words.includes("rshared")
      ? "Bidirectional"
      : undefined;
  return {
    type: /^[./~]/.test(source) ? "bind" : "volume",
    source,
    target,
    readOnly: words.includes("ro"),
    ...(propagation === undefined ? {} : { propagation }),
  };
}

const knownModes = new Set([
  "ro",
  "rw",
  "z",
  "Z",
  "rslave",
  "rshared",
  "rprivate",
  "cached",
  "delegated",
  "consistent",
]);

function longMount(node: Node, reader: Reader): Mount {
  const mount: Mount = {};
  reader.fields(node, "volumes", mountFields, mount);
  return mount;
}

const mountFields: Fields<Mount> = {
  type: (into, node, reader) => {
    into.type = reader.text(node, "volumes.type") ?? "";
  },
  source: (into, node, reader) => {
    into.source = reader.text(node, "volumes.source") ?? "";
  },
  target: (into, node, reader) => {
    into.target = reader.text(node, "volumes.target") ?? "";
  },
  read_only: (into, node, reader) => {
    into.readOnly = reader.boolean(node, "volumes.read_only") ?? false;
  },
  bind: (into, node, reader) => reader.fields<Mount>(node, "volumes.bind", bindFields, into),
  volume: (into, node, reader) =>
    reader.fields<Mount>(
      node,
      "volumes.volume",
      {
        nocopy: () => {},
        subpath: (mount, value) => {
          mount.subPath = reader.text(value, "volumes.volume.subpath") ?? "";
        },
        labels: () => {},
      },
      into,
    ),
  tmpfs: (into, node, reader) =>
    reader.fields<Mount>(
      node,
      "volumes.tmpfs",
      {
        size: (mount, value) => {
          const bytes = reader.bytes(value, "volumes.tmpfs.size");
          if (bytes !== undefined) mount.tmpfsBytes = bytes;
        },
        mode: without("memory that is mounted is writable for all"),
      },
      into,
    ),
  image: (into, node, reader) =>
    reader.fields<Mount>(
      node,
      "volumes.image",
      {
        subpath: (mount, value) => {
          mount.subPath = reader.text(value, "volumes.image.subpath") ?? "";
        },
      },
      into,
    ),
  consistency: () => {},
};

const bindFields: Fields<Mount> = {
  propagation: (into, node, reader) => {
    const word = reader.word(node, "volumes.bind.propagation", [
      "private",
      "rprivate",
      "slave",
      "rslave",
      "shared",
      "rshared",
    ] as const);
    if (word?.endsWith("slave") === true) into.propagation = "HostToContainer";
    if (word?.endsWith("shared") === true) into.propagation = "Bidirectional";
  },
  create_host_path: () => {},
  selinux: () => {},
  recursive: () => {},
};

function addFile(draft: ServiceDraft, node: Node, reader: Reader, kind: "configs" | "secrets"): void {
  const wanted: { source?: string; target?: string; mode?: number } = {};
  if (node.type === "map") reader.fields(node, kind, fileFields, wanted);
  else wanted.source = reader.text(node, kind) ?? "";
  const { source = "" } = wanted;
  const found: FileSource | undefined = draft.project[kind].get(source);
  if (found === undefined) {
    reader.fail(node.place, `${kind}: there is no ${source} in the file's own ${kind}`);
    return;
  }
  const folder = kind === "secrets" ? "/run/secrets" : "";
  const target = wanted.target ?? source;
  const mountPath = target.startsWith("/") ? target : `${folder}/${target}`;
  const path = basename(mountPath);
  const items = [{ key: fileKey, path, ...(wanted.mode === undefined ? {} : { mode: wanted.mode }) }];
  const volume = objectName(`${kind}-${found.objectName}-${draft.volumes.length}`);
  const from =
    kind === "secrets"
      ? { secret: { secretName: found.objectName, items } }
      : { configMap: { name: found.objectName, items } };
  draft.volumes.push({ name: volume, ...from });
  const mount: VolumeMount = { name: volume, mountPath, subPath: path, readOnly: true };
  draft.mounts.push(mount);
}

/** Under which a config's or secret's object holds its content. */
export const fileKey = "content";

const fileFields: Fields<{ source?: string; target?: string; mode?: number }> = {
  source: (into, node, reader) => {
    into.source = reader.text(node, "source") ?? "";
  },
  target: (into, node, reader) => {
    into.target = reader.text(node, "target") ?? "";
  },
  mode: (into, node, reader) => {
    // YAML 1.2 reads 0440 as four hundred and forty; what is meant is octal.
    const text = node.type === "scalar" ? String(node.value).replace(/^0o?/, "") : "";
    if (/^[0-7]{1,4}$/.test(text)) into.mode = Number.parseInt(text, 8);
    else reader.fail(node.place, "mode takes an octal number such as 0440");
  },
  uid: without("files belong to root; give them a mode"),
  gid: without("files belong to root; give them a mode"),
};
