// From files on a disk to one tree: variables replaced, `include` and `extends` resolved, later files laid over earlier ones, services
// of profiles that are off left out.
import { dirname, isAbsolute, join } from "node:path";
import { parseEnvFile } from "./env-file.ts";
import { interpolateNode, type Variables } from "./interpolate.ts";
import { mergeNodes, withoutResets } from "./merge.ts";
import { ComposeError, type MapNode, type Node, type Place, parseNodes } from "./nodes.ts";
import type { Finding } from "./read.ts";

export interface LoadOptions {
  /** Text of a file; undefined when there is none. */
  readonly readText: (path: string) => string | undefined;
  /** Of the shell: they win over those of .env files. */
  readonly variables: Variables;
  /** Those that are on, besides those of COMPOSE_PROFILES; "*" is all. */
  readonly profiles: readonly string[];
  /** Instead of the .env file beside the first file. */
  readonly envFiles?: readonly string[];
}

export interface Loaded {
  readonly root: MapNode;
  /** Relative paths begin here. */
  readonly directory: string;
  readonly variables: Variables;
  readonly notices: readonly Finding[];
}

const depthMax = 20;

/** Throws a ComposeError for what cannot be read. */
export function loadCompose(paths: readonly string[], options: LoadOptions): Loaded {
  const directory = dirname(paths[0] ?? "compose.yaml");
  const notices = new Map<string, Finding>();
  const loader = new Loader(options, notices);
  const variables = loader.envOf(options.envFiles ?? [join(directory, ".env")], options.envFiles !== undefined);
  const root = withoutResets(loader.merged(paths, variables, 0));
  if (root.type !== "map") throw new ComposeError(root.place, `expected a map with services, got a ${root.type}`);
  const profiles = [...options.profiles, ...(variables["COMPOSE_PROFILES"] ?? "").split(",")];
  return { root: withProfiles(root, profiles), directory, variables, notices: [...notices.values()] };
}

class Loader {
  readonly #options: LoadOptions;
  readonly #notices: Map<string, Finding>;

  constructor(options: LoadOptions, notices: Map<string, Finding>) {
    this.#options = options;
    this.#notices = notices;
  }

  envOf(paths: readonly string[], required: boolean): Variables {
    const { readText, variables } = this.#options;
    let found: Variables = {};
    for (const path of paths) {
      const text = readText(path);
      if (text !== undefined) found = { ...found, ...parseEnvFile(text, path, { ...found, ...variables }) };
      else if (required) throw new ComposeError({ file: path, line: 1, column: 1 }, "there is no such file");
    }
    return { ...found, ...variables };
  }

  merged(paths: readonly string[], variables: Variables, depth: number): Node {
    const trees = paths.map((path) => this.#read(path, variables, depth));
    return trees.reduce((base, over) => mergeNodes(base, over));
  }

  #read(path: string, variables: Variables, depth: number, from?: Place): Node {
    if (depth > depthMax)
      throw new ComposeError(
        from ?? { file: path, line: 1, column: 1 },
        `files name each other deeper than ${depthMax}`,
      );
    const text = this.#options.readText(path);
    if (text === undefined)
      throw new ComposeError(from ?? { file: path, line: 1, column: 1 }, `there is no file ${path}`);
    const tree = interpolateNode(parseNodes(text, path), {
      variables,
      onUnset: (name, place) =>
        void this.#notices.set(name, {
          severity: "notice",
          place,
          message: `variable ${name} is not set: it counts as empty`,
        }),
    });
    if (tree.type !== "map") throw new ComposeError(tree.place, `expected a map with services, got a ${tree.type}`);
    return this.#withIncludes(this.#withExtends(tree, path, variables, depth), path, variables, depth);
  }

  #withIncludes(tree: MapNode, path: string, variables: Variables, depth: number): Node {
    const include = tree.entries.get("include");
    if (include === undefined) return tree;
    if (include.type !== "list") throw new ComposeError(include.place, `include takes a list, got a ${include.type}`);
    let result: Node = without(tree, "include");
    for (const item of include.items) {
      const said = (key: string) =>
        item.type === "map" ? scalarsOf(item.entries.get(key)).map((file) => beside(path, file)) : [];
      const files = item.type === "map" ? said("path") : scalarsOf(item).map((file) => beside(path, file));
      if (files.length === 0) throw new ComposeError(item.place, "include takes a file, or a map with path");
      const [folder = dirname(files[0] ?? path)] = said("project_directory");
      const env = said("env_file");
      const found = this.envOf(env.length === 0 ? [join(folder, ".env")] : env, env.length > 0);
      result = mergeNodes(rebased(this.merged(files, { ...found, ...variables }, depth + 1), folder), result);
    }
    return result;
  }

  #withExtends(tree: MapNode, path: string, variables: Variables, depth: number): MapNode {
    const services = tree.entries.get("services");
    if (services?.type !== "map") return tree;
    const resolve = (name: string, chain: readonly string[]): Node => {
      const service = services.entries.get(name);
      if (service?.type !== "map") return service ?? { type: "scalar", place: services.place, value: null };
      const extended = service.entries.get("extends");
      if (extended === undefined) return service;
      if (chain.includes(name))
        throw new ComposeError(extended.place, `services extend each other: ${[...chain, name].join(" -> ")}`);
      const wanted = extended.type === "map" ? extended.entries.get("service") : extended;
      const from = scalarsOf(wanted)[0] ?? "";
      const file = extended.type === "map" ? scalarsOf(extended.entries.get("file"))[0] : undefined;
      const base =
        file === undefined
          ? resolve(from, [...chain, name])
          : this.#serviceOf(beside(path, file), from, { variables, depth, place: extended.place });
      if (base.type !== "map")
        throw new ComposeError(
          extended.place,
          `extends names ${from}, which is no service${file === undefined ? "" : ` of ${file}`}`,
        );
      return mergeNodes(base, without(service, "extends"));
    };
    const entries = new Map([...services.entries.keys()].map((name) => [name, resolve(name, [])]));
    return { ...tree, entries: new Map([...tree.entries, ["services", { ...services, entries }]]) };
  }

  #serviceOf(
    path: string,
    name: string,
    { variables, depth, place }: { variables: Variables; depth: number; place: Place },
  ): Node {
    const tree = rebased(this.#read(path, variables, depth + 1, place), dirname(path));
    const services = tree.type === "map" ? tree.entries.get("services") : undefined;
    const found = services?.type === "map" ? services.entries.get(name) : undefined;
    return found ?? { type: "scalar", place, value: null };
  }
}

function withProfiles(root: MapNode, on: readonly string[]): MapNode {
  const services = root.entries.get("services");
  if (services?.type !== "map") return root;
  const isOn = (service: Node) => {
    const profiles = service.type === "map" ? scalarsOf(service.entries.get("profiles")) : [];
    return profiles.length === 0 || on.includes("*") || profiles.some((profile) => on.includes(profile));
  };
  const entries = new Map([...services.entries].filter(([, service]) => isOn(service)));
  return { ...root, entries: new Map([...root.entries, ["services", { ...services, entries }]]) };
}

// Relative paths of a file in another folder count from there.
function rebased(node: Node, directory: string, key = ""): Node {
  if (node.type === "map")
    return {
      ...node,
      entries: new Map(
        [...node.entries].map(([name, value]) => [name, rebased(value, directory, pathKeyOf(name, key))]),
      ),
    };
  if (node.type === "list") return { ...node, items: node.items.map((item) => rebased(item, directory, key)) };
  if (typeof node.value !== "string" || key === "") return node;
  const isPath =
    key === "bind" ? /^\.{1,2}(\/|$)/.test(node.value) : !isAbsolute(node.value) && !/^[a-z]+:\/\//.test(node.value);
  return isPath ? { ...node, value: join(directory, node.value) } : node;
}

function pathKeyOf(name: string, within: string): string {
  if (name === "env_file" || name === "context" || name === "file") return name;
  if (name === "volumes" || (name === "source" && within === "bind")) return "bind";
  if (name === "path" && within === "env_file") return within;
  return name === "build" ? "context" : "";
}

function beside(path: string, file: string): string {
  return isAbsolute(file) ? file : join(dirname(path), file);
}

function without(node: MapNode, key: string): MapNode {
  return { ...node, entries: new Map([...node.entries].filter(([name]) => name !== key)) };
}

function scalarsOf(node: Node | undefined): readonly string[] {
  if (node === undefined) return [];
  const items = node.type === "list" ? node.items : [node];
  return items.flatMap((item) => (item.type === "scalar" && item.value !== null ? [String(item.value)] : []));
}
