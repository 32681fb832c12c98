// What a project's services share: volumes, configs and secrets.
import type { KubeObject } from "../api/kinds/resource.ts";
import { type FileSource, objectName, type ProjectParts } from "./draft.ts";
import { fileKey } from "./fields/storage.ts";
import { type Node, textOf } from "./nodes.ts";
import { fileBeside } from "./paths.ts";
import type { Reader } from "./read.ts";

/** A claim for every volume that is not external. */
export function volumeObjects(
  node: Node | undefined,
  { volumes }: ProjectParts,
  reader: Reader,
): readonly KubeObject[] {
  if (node === undefined) return [];
  return [...(reader.map(node, "volumes")?.entries ?? [])].flatMap(([name, options]) => {
    const external = options.type === "map" ? options.entries.get("external") : undefined;
    if (options.type === "map")
      for (const [key, value] of options.entries)
        if (!["external", "name", "labels"].includes(key) && !key.startsWith("x-"))
          reader.note(
            value.place,
            `volumes.${name}.${key} is left out: a volume is a folder of the node where its service runs first`,
          );
    if (external !== undefined && reader.boolean(external, `volumes.${name}.external`) === true) return [];
    const metadata = { name: volumes.get(name)?.objectName ?? name };
    const spec = { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } } };
    return [{ apiVersion: "v1", kind: "PersistentVolumeClaim", metadata, spec } as KubeObject];
  });
}

/** ConfigMaps and Secrets. */
export function fileObjects({ configs, secrets }: ProjectParts): readonly KubeObject[] {
  return [
    ...[...configs.values()].flatMap(({ objectName: name, content }) =>
      content === undefined
        ? []
        : [{ apiVersion: "v1", kind: "ConfigMap", metadata: { name }, data: { [fileKey]: content } }],
    ),
    ...[...secrets.values()].flatMap(({ objectName: name, content }) =>
      content === undefined
        ? []
        : [{ apiVersion: "v1", kind: "Secret", metadata: { name }, stringData: { [fileKey]: content } }],
    ),
  ];
}

/** The names that volumes have as objects. */
export function volumeNames(
  node: Node | undefined,
  reader: Reader,
): ReadonlyMap<string, { readonly objectName: string }> {
  if (node === undefined) return new Map();
  const entries = [...(reader.map(node, "volumes")?.entries ?? [])];
  return new Map(entries.map(([name, options]) => [name, { objectName: objectName(nameOf(options) ?? name) }]));
}

/** The contents of `configs` or `secrets`. */
export function readFiles(
  node: Node | undefined,
  what: "configs" | "secrets",
  { directory, variables, readText }: Pick<ProjectParts, "directory" | "variables" | "readText">,
  reader: Reader,
): ReadonlyMap<string, FileSource> {
  const files = new Map<string, FileSource>();
  for (const [name, options] of node === undefined ? [] : (reader.map(node, what)?.entries ?? [])) {
    const map = reader.map(options, `${what}.${name}`);
    if (map === undefined) continue;
    const [file, content, variable, external] = ["file", "content", "environment", "external"].map((key) =>
      map.entries.get(key),
    );
    const own = objectName(nameOf(options) ?? name);
    if (external !== undefined && reader.boolean(external, `${what}.${name}.external`) === true) {
      files.set(name, { objectName: own });
      continue;
    }
    const path = textOf(file);
    const variableName = textOf(variable);
    const text =
      path !== undefined
        ? readText(fileBeside(directory, path))
        : variableName !== undefined
          ? variables[variableName]
          : textOf(content);
    if (text === undefined)
      reader.fail(
        options.place,
        path !== undefined
          ? `${what}.${name}: there is no file ${fileBeside(directory, path)}`
          : variableName !== undefined
            ? `${what}.${name}: variable ${variableName} is not set`
            : `${what}.${name} takes file, content or environment`,
      );
    else files.set(name, { objectName: own, content: text });
  }
  return files;
}

function nameOf(options: Node): string | undefined {
  return options.type === "map" ? textOf(options.entries.get("name")) : undefined;
}
