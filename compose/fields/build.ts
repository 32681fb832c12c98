// How a service's image is built: the keys of `build`.
import type { BuildPlan, ProjectParts, Writable } from "../draft.ts";
import type { Node, Place } from "../nodes.ts";
import { fileBeside } from "../paths.ts";
import { type Fields, type Reader, without } from "../read.ts";

interface BuildDraft {
  readonly plan: Writable<BuildPlan>;
  readonly project: ProjectParts;
}

/** A plan of `build`, as a map or as its context alone. */
export function readBuild(node: Node, project: ProjectParts, reader: Reader): BuildPlan {
  const plan: Writable<BuildPlan> = {
    context: project.directory,
    ...{ args: {}, labels: {}, secrets: {}, cacheFrom: [], extraHosts: [], tags: [], noCache: false, pull: false },
  };
  if (node.type === "map") reader.fields(node, "build", buildFields, { plan, project });
  else setContext({ plan, project }, node, reader);
  if (plan.dockerfile !== undefined && plan.dockerfileText !== undefined)
    reader.fail(node.place, "build takes dockerfile or dockerfile_inline, not both");
  return plan;
}

export const buildFields: Fields<BuildDraft> = {
  context: setContext,
  dockerfile: ({ plan }, node, reader) => {
    plan.dockerfile = reader.text(node, "build.dockerfile") ?? "Dockerfile";
  },
  dockerfile_inline: ({ plan }, node, reader) => {
    plan.dockerfileText = reader.text(node, "build.dockerfile_inline") ?? "";
  },
  args: ({ plan, project }, node, reader) => {
    const args = reader.keyValues(node, "build.args").flatMap(([name, value]) => {
      const known = value ?? project.variables[name];
      return known === undefined ? [] : [[name, known] as const];
    });
    plan.args = Object.fromEntries(args);
  },
  labels: ({ plan }, node, reader) => {
    plan.labels = Object.fromEntries(
      reader.keyValues(node, "build.labels").map(([name, value]) => [name, value ?? ""]),
    );
  },
  target: ({ plan }, node, reader) => {
    plan.target = reader.text(node, "build.target") ?? "";
  },
  tags: ({ plan }, node, reader) => {
    plan.tags = reader.texts(node, "build.tags");
  },
  cache_from: ({ plan }, node, reader) => {
    plan.cacheFrom = reader.texts(node, "build.cache_from").filter((text) => isImage(text, node.place, reader));
  },
  extra_hosts: ({ plan }, node, reader) => {
    plan.extraHosts = reader
      .keyValues(node, "build.extra_hosts")
      .map(([name, value]) => (value === undefined ? name : `${name}:${value}`));
  },
  network: ({ plan }, node, reader) => {
    const network = reader.word(node, "build.network", ["default", "none", "host"] as const);
    if (network !== undefined) plan.network = network;
  },
  no_cache: ({ plan }, node, reader) => {
    plan.noCache = reader.boolean(node, "build.no_cache") ?? false;
  },
  pull: ({ plan }, node, reader) => {
    plan.pull = reader.boolean(node, "build.pull") ?? false;
  },
  shm_size: ({ plan }, node, reader) => {
    const shmBytes = reader.bytes(node, "build.shm_size");
    if (shmBytes !== undefined) plan.shmBytes = shmBytes;
  },
  secrets: ({ plan, project }, node, reader) => {
    for (const item of reader.list(node, "build.secrets")) {
      const [source, target] = secretOf(item, reader);
      const content = project.secrets.get(source)?.content;
      if (content === undefined)
        reader.fail(item.place, `build.secrets: the file's secrets have no ${source} with a content`);
      else plan.secrets = { ...plan.secrets, [target ?? source]: content };
    }
  },
  platforms: without("images are built for the node that builds"),
  cache_to: without("steps are known again on the node that built them; naru build --cache-to makes an image of them"),
  additional_contexts: (_, node, reader) =>
    reader.fail(node.place, "build.additional_contexts has no equivalent yet: COPY --from takes stages and images"),
  ssh: (_, node, reader) =>
    reader.fail(
      node.place,
      "build.ssh has no equivalent: give keys as build.secrets, which RUN --mount=type=secret reads",
    ),
  ulimits: without("steps have the limits that containers have"),
  isolation: without("it is of Windows"),
  privileged: without("steps of builds have no privileges"),
  entitlements: without("steps of builds have no privileges"),
  provenance: without("images carry no attestations"),
  sbom: without("images carry no attestations"),
};

function setContext({ plan, project }: BuildDraft, node: Node, reader: Reader): void {
  const context = reader.text(node, "build.context") ?? ".";
  if (/^(?:https?|git|ssh):|^git@|\.git(?:#|$)/.test(context))
    reader.fail(node.place, `build.context takes a folder, got ${context}: clone the repository first`);
  else plan.context = fileBeside(project.directory, context);
}

// "type=registry,ref=IMAGE" is BuildKit's; other types are caches that it keeps elsewhere.
function isImage(text: string, place: Place, reader: Reader): boolean {
  if (!text.includes("=")) return true;
  reader.note(place, `build.cache_from ${text} is left out: it takes names of images`);
  return false;
}

function secretOf(item: Node, reader: Reader): readonly [source: string, target?: string] {
  if (item.type !== "map") return [reader.text(item, "build.secrets") ?? ""];
  const text = (key: string) => {
    const value = item.entries.get(key);
    return value === undefined ? undefined : reader.text(value, `build.secrets.${key}`);
  };
  const target = text("target")?.split("/").at(-1);
  return target === undefined ? [text("source") ?? ""] : [text("source") ?? "", target];
}
