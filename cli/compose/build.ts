// naru compose build: the images of services that say how they are built, made on one node and found by all.
import { resolve } from "node:path";
import { conditionOf } from "../../api/kinds/conditions.ts";
import { nodes } from "../../api/kinds/generated/resources.ts";
import type { Node } from "../../api/kinds/generated/types.ts";
import type { KubeObject } from "../../api/kinds/resource.ts";
import type { Build } from "../../compose/convert.ts";
import { realClock } from "../../lib/clock.ts";
import type { BuildOptions } from "../../node-agent/build/build.ts";
import { commandLine, linesOf } from "../images/ask-node.ts";
import { readContext, readContextWith } from "../images/build-context.ts";
import { type BuildPrinter, buildPrinter } from "../images/build-progress.ts";
import { allLogins } from "../images/registry-logins.ts";
import { runBuild } from "../images/run-build.ts";
import { pathOf } from "../resources.ts";
import { type ProjectPlace, withPodSpec } from "./objects.ts";

export interface BuildChoice {
  /** Those that were built already too. */
  readonly all: boolean;
  readonly noCache: boolean;
  readonly pull: boolean;
  readonly mode: "plain" | "tty" | "quiet";
  readonly node?: string | undefined;
}

/** An image of an earlier build, or of this one, and where it is. */
interface Built {
  readonly node: string;
  readonly id: string;
}

/**
 * What to run for each image that the objects name: names that say which build they are of, so that an image that was built anew starts
 * new pods, and no node runs an older one that it still has.
 */
export async function buildServices(
  place: ProjectPlace,
  builds: readonly Build[],
  choice: BuildChoice,
): Promise<ReadonlyMap<string, string>> {
  const names = new Map<string, string>();
  if (builds.length === 0) return names;
  const ready = await readyNodes(place);
  const node = choice.node ?? ready[0];
  if (node === undefined) throw new Error("the cluster has no ready node to build on");
  for (const build of builds) {
    const known = choice.all || build.always ? undefined : await findBuilt(place, build, new Set([node, ...ready]));
    const built = known ?? (await buildOne(place, build, { ...choice, node }));
    const name = `${build.repository}:${built.id.slice("sha256:".length, "sha256:".length + 12)}`;
    await commandLine(place.connection, built.node, { command: "tag", reference: built.id, name });
    names.set(build.image, name);
  }
  return names;
}

/** The objects with the images that were built. Pure. */
export function withBuilt(objects: readonly KubeObject[], names: ReadonlyMap<string, string>): readonly KubeObject[] {
  return objects.map((object) =>
    withPodSpec(object, (spec) => ({
      ...spec,
      containers: spec.containers.map((container) => {
        const image = names.get(container.image ?? "");
        return image === undefined ? container : { ...container, image };
      }),
    })),
  );
}

/** What the builder is told beside the context. Pure. */
export function buildOptions(
  { image, repository, plan }: Build,
  { noCache, pull }: Pick<BuildChoice, "noCache" | "pull">,
): BuildOptions {
  const { context: _, dockerfile: _path, dockerfileText: _text, secrets: _secrets, args, ...same } = plan;
  return {
    ...same,
    buildArgs: args,
    noCache: noCache || plan.noCache,
    pull: pull || plan.pull,
    tags: [...new Set([`${repository}:latest`, image, ...plan.tags])],
  };
}

async function readyNodes({ connection }: ProjectPlace): Promise<readonly string[]> {
  const { items } = await connection.send<{ items: readonly Node[] }>("GET", pathOf(nodes, undefined));
  return items
    .filter(({ status }) => conditionOf(status?.conditions, "Ready")?.status === "True")
    .map(({ metadata }) => metadata?.name ?? "");
}

async function findBuilt(
  { connection }: ProjectPlace,
  { repository }: Build,
  among: ReadonlySet<string>,
): Promise<Built | undefined> {
  for (const node of among)
    for await (const { id, tags = [] } of linesOf(connection, "GET", node, {}))
      if (id !== undefined && tags.includes(`${repository}:latest`)) return { node, id };
  return undefined;
}

async function buildOne(
  { connection }: ProjectPlace,
  build: Build,
  { node, mode, ...choice }: BuildChoice & { readonly node: string },
): Promise<Built> {
  const { service, plan } = build;
  const { context: folder, dockerfile, dockerfileText, secrets } = plan;
  const context =
    dockerfileText === undefined
      ? await readContext(folder, dockerfile === undefined ? undefined : resolve(folder, dockerfile))
      : await readContextWith(folder, dockerfileText);
  const { tar, ...where } = context;
  const epoch = process.env["SOURCE_DATE_EPOCH"];
  const {
    image: built,
    steps,
    cached,
  } = await runBuild({
    ...{ connection, node, context: tar },
    printer: ofService(
      service,
      buildPrinter(mode, () => realClock.monotonicMs()),
    ),
    command: {
      command: "build",
      options: {
        ...buildOptions(build, choice),
        ...where,
        ...(epoch !== undefined && /^\d+$/.test(epoch) ? { sourceDateEpoch: Number(epoch) } : {}),
      },
      secrets: Object.fromEntries(
        Object.entries(secrets).map(([id, text]) => [id, Buffer.from(text).toString("base64")]),
      ),
      logins: await allLogins(),
    },
  });
  console.log(`${service} built (${cached} of ${steps} steps known, on ${node})`);
  return { node, id: built.id };
}

/** Every step says of which service it is. */
function ofService(service: string, printer: BuildPrinter): BuildPrinter {
  return {
    failed: () => printer.failed(),
    show: (event) =>
      printer.show(
        event.type === "step" && event.state === "started" ? { ...event, name: `${service} ${event.name}` } : event,
      ),
  };
}
