// naru delete: by name, by label or by file; waits until the objects are gone.
import type { KubeObject } from "../../api/kinds/resource.ts";
import { isReason } from "../../api/kinds/status.ts";
import {
  type Command,
  connectionOptions,
  type Invocation,
  namespaceOptions,
  numberOption,
  UsageError,
} from "../command.ts";
import { type Connection, connect } from "../connection.ts";
import { complain } from "../explain.ts";
import { readManifests, recursiveOption } from "../manifests.ts";
import { silentProgress, startProgress } from "../progress.ts";
import { namespaceOf, pathOf, resourceOfKind, resourcesOf, targetsOf, titleOf } from "../resources.ts";

interface Doomed {
  readonly title: string;
  readonly path: string;
}

/** What was deleted; another object may have its name soon. */
interface Going extends Doomed {
  readonly uid: string | undefined;
}

/** The object that is still there for a while, or a Status. */
type Deleted = KubeObject & { readonly details?: { readonly uid?: string } };

export const deleteCommand: Command = {
  name: "delete",
  summary: "Delete objects",
  usage: "delete KIND/NAME… | delete KIND -l LABELS | delete -f FILE",
  examples: [
    "naru delete deployment/web",
    "naru delete pods -l app=web",
    "naru delete -f web.yaml",
    "naru delete pod/web-1 --grace-period 0",
  ],
  options: {
    ...connectionOptions,
    ...namespaceOptions,
    filename: {
      type: "string",
      short: "f",
      multiple: true,
      value: "PATH",
      help: "objects that a file or folder names",
    },
    ...recursiveOption,
    selector: { type: "string", short: "l", value: "LABELS", help: "all objects with these labels" },
    all: { type: "boolean", help: "all objects of the kind in the namespace" },
    "grace-period": { type: "string", value: "SECONDS", help: "time for containers to end by themselves" },
    "ignore-not-found": { type: "boolean", help: "what is not there counts as deleted" },
    "no-wait": { type: "boolean", help: "come back before they are gone" },
  },
  arguments: [{ type: "kinds" }, { type: "names" }],
  run: async (invocation) => {
    const connection = await connect(invocation);
    const doomed = await find(invocation, connection);
    if (doomed.length === 0) console.error("No resources found.");
    const grace = numberOption(invocation, "grace-period");
    const body = {
      kind: "DeleteOptions",
      apiVersion: "v1",
      propagationPolicy: "Background",
      ...(grace === undefined ? {} : { gracePeriodSeconds: grace }),
    };
    const going: Going[] = [];
    let refused = 0;
    for (const one of doomed) {
      try {
        const answer = await connection.send<Deleted>("DELETE", one.path, { body, signal: invocation.signal });
        going.push({ ...one, uid: answer.details?.uid ?? answer.metadata?.uid });
        console.log(`${one.title} deleted`);
      } catch (error) {
        // The others are still to go, whatever becomes of this one.
        if (invocation.signal.aborted) throw error;
        if (isReason(error, "NotFound") && invocation.flag("ignore-not-found")) continue;
        complain(error);
        refused++;
      }
    }
    if (!invocation.flag("no-wait")) await untilAllGone(connection, going, invocation.signal);
    connection.close();
    return refused === 0 ? 0 : 1;
  },
};

async function find(invocation: Invocation, connection: Connection): Promise<readonly Doomed[]> {
  const namespace = namespaceOf(invocation, connection);
  const files = invocation.texts("filename");
  if (files.length > 0) {
    return readManifests(files, { recursive: invocation.flag("recursive") }).map(({ object, place }) => {
      const resource = resourceOfKind(object.apiVersion ?? "", object.kind ?? "");
      if (resource === undefined)
        throw new Error(`${place}: this cluster has no kind ${object.kind} in ${object.apiVersion}`);
      const name = object.metadata?.name ?? "";
      return {
        title: titleOf(resource, name),
        path: pathOf(resource, resource.namespaced ? (object.metadata?.namespace ?? namespace) : undefined, name),
      };
    });
  }
  const selector = invocation.text("selector");
  if (selector === undefined && !invocation.flag("all")) {
    return targetsOf(invocation.positionals).map(({ resource, name }) => ({
      title: titleOf(resource, name),
      path: pathOf(resource, namespace, name),
    }));
  }
  const [words] = invocation.positionals;
  if (words === undefined) throw new UsageError("name a kind, such as pods");
  const found: Doomed[] = [];
  for (const resource of resourcesOf(words)) {
    const query = selector === undefined ? "" : `?${new URLSearchParams({ labelSelector: selector })}`;
    const { items } = await connection.send<{ items: KubeObject[] }>("GET", `${pathOf(resource, namespace)}${query}`);
    found.push(
      ...items.map(({ metadata }) => ({
        title: titleOf(resource, metadata?.name ?? ""),
        path: pathOf(resource, metadata?.namespace, metadata?.name ?? ""),
      })),
    );
  }
  return found;
}

// Most are gone at once; what takes its grace period is named meanwhile, on a terminal.
async function untilAllGone(connection: Connection, going: readonly Going[], signal: AbortSignal): Promise<void> {
  const progress = process.stderr.isTTY ? startProgress() : silentProgress;
  try {
    for (const [at, { title, path, uid }] of going.entries()) {
      const more = going.length - at - 1;
      progress.update(`waiting until ${title} is gone${more === 0 ? "" : `, and ${more} more`}`);
      await untilGone(connection, { path, uid }, signal);
    }
  } finally {
    progress.clear();
  }
}

async function untilGone(
  connection: Connection,
  { path, uid }: Pick<Going, "path" | "uid">,
  signal: AbortSignal,
): Promise<void> {
  for (
    let waitMs = 20;
    uid !== undefined && (await uidOf(connection, path, signal)) === uid;
    waitMs = Math.min(500, waitMs * 2)
  ) {
    await new Promise((resolve) => setTimeout(resolve, waitMs));
  }
}

async function uidOf(connection: Connection, path: string, signal: AbortSignal): Promise<string | undefined> {
  try {
    return (await connection.send<KubeObject>("GET", path, { signal })).metadata?.uid;
  } catch (error) {
    if (isReason(error, "NotFound")) return undefined;
    throw error;
  }
}
