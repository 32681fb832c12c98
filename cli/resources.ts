// Which resource a word means ("deploy", "po/web-1"), and its path in the API.
import { resources } from "../api/kinds/generated/resources.ts";
import type { Resource } from "../api/kinds/resource.ts";
import { nearest } from "../lib/similar.ts";
import { type Invocation, UsageError } from "./command.ts";
import type { Connection } from "./connection.ts";

const stored: readonly Resource[] = resources
  .map((resource) => resource as Resource)
  .filter(({ verbs }) => verbs.includes("list"));

/** What users call the kinds. */
export const kindWords: readonly string[] = stored.map(({ resource }) => resource);

/** By plural, singular, short name or kind, with or without its group. */
export function resourceOf(word: string): Resource {
  const [name = "", ...group] = word.toLowerCase().split(".");
  const found = stored.find(
    (one) =>
      [one.resource, one.singular, one.kind.toLowerCase(), ...one.shortNames].includes(name) &&
      (group.length === 0 || one.group === group.join(".")),
  );
  if (found === undefined) {
    const near = nearest(
      name,
      stored.flatMap(({ resource, singular, shortNames }) => [resource, singular, ...shortNames]),
    );
    const hint = near === undefined ? `there are: ${kindWords.join(", ")}` : `did you mean ${JSON.stringify(near)}?`;
    throw new UsageError(`there is no kind ${JSON.stringify(word)}; ${hint}`);
  }
  return found;
}

/** "all" and lists with commas too. */
export function resourcesOf(words: string): readonly Resource[] {
  return words
    .split(",")
    .flatMap((word) =>
      word === "all" ? stored.filter(({ categories }) => categories.includes("all")) : [resourceOf(word)],
    );
}

export function resourceOfKind(apiVersion: string, kind: string): Resource | undefined {
  return stored.find(
    (one) => one.kind === kind && (one.group === "" ? one.version : `${one.group}/${one.version}`) === apiVersion,
  );
}

export function pathOf(resource: Resource, namespace: string | undefined, name?: string): string {
  const base = resource.group === "" ? `/api/${resource.version}` : `/apis/${resource.group}/${resource.version}`;
  const scope = resource.namespaced && namespace !== undefined ? `/namespaces/${encodeURIComponent(namespace)}` : "";
  return `${base}${scope}/${resource.resource}${name === undefined ? "" : `/${encodeURIComponent(name)}`}`;
}

export interface Target {
  readonly resource: Resource;
  readonly name: string;
}

/** "deploy/web", or "deploy web db": each names one object. */
export function targetsOf(words: readonly string[]): readonly Target[] {
  const [first, ...more] = words;
  if (first === undefined) throw new UsageError("name an object, such as deployment/web");
  if (!first.includes("/")) {
    const resource = resourceOf(first);
    if (more.length === 0)
      throw new UsageError(`name one of the ${resource.resource}, such as ${resource.singular}/NAME`);
    return more.map((name) => ({ resource, name }));
  }
  return words.map((word) => {
    const [kind = "", name = "", ...rest] = word.split("/");
    if (name === "" || rest.length > 0)
      throw new UsageError(
        `an object is named by its kind and name, such as deployment/web, got ${JSON.stringify(word)}`,
      );
    return { resource: resourceOf(kind), name };
  });
}

export function namespaceOf(invocation: Invocation, connection: Connection): string {
  return invocation.text("namespace") ?? connection.namespace;
}

/** "deployment.apps/web", as kubectl prints it. */
export function titleOf(resource: Resource, name: string): string {
  return `${resource.singular}${resource.group === "" ? "" : `.${resource.group}`}/${name}`;
}
