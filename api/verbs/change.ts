// Changing one object that exists: what update, patch, status and scale share. Compares, prepares, checks, commits, and tries again.
import { unreachable } from "../../lib/assert.ts";
import type { CachedItem } from "../cache/watch-cache.ts";
import type { FieldError, Kind, KindContext, Part } from "../kinds/kind.ts";
import type { KubeObject } from "../kinds/resource.ts";
import { trackUpdate } from "../kinds/schema/apply.ts";
import { forbidden, invalidObject } from "../kinds/schema/field-error.ts";
import { equal } from "../kinds/schema/patch-json.ts";
import type { JsonObject } from "../kinds/schema/schema.ts";
import { ApiError } from "../kinds/status.ts";
import { commitObject, type Written } from "./commit.ts";
import { type Context, type Target, targetKey, type WriteOptions } from "./context.ts";
import { reportUnsupported } from "./decode.ts";
import { isFinished } from "./deletion.ts";
import { reachRevision } from "./freshness.ts";
import { kindContext, withAllocation } from "./kind-context.ts";
import { changedMeanwhile, conflict, notFound } from "./refusals.ts";

export interface Change {
  readonly target: Target;
  /** Which part may change: the main resource, only its status, only spec.finalizers of a namespace, or one of the kind's own parts. */
  readonly part: "object" | "status" | "finalizers" | { readonly of: string };
  /**
   * The decoded object as it should become, from the present one; run again when somebody else was faster. When its metadata names a
   * resourceVersion other than the present one, the change is refused.
   */
  readonly next: (live: KubeObject) => KubeObject;
  /** `next` has kept managedFields itself. */
  readonly tracked?: true;
}

type WithParts = KubeObject & { readonly spec?: unknown; readonly status?: unknown };

const triesMax = 12;

/** Refuses with NotFound, Conflict or Invalid. Writes nothing when nothing would change. */
export async function changeObject(context: Context, change: Change, write: WriteOptions): Promise<Written> {
  const { kind, name } = change.target;
  for (let tries = 0; tries < triesMax; tries++) {
    const written = await withAllocation(context, kind, (allocation) =>
      tryChange(context, change, write, { nowMs: context.clock.now(), allocation }),
    );
    if (written !== undefined) return written;
  }
  throw changedMeanwhile(kind.resource, name);
}

interface Attempt {
  readonly nowMs: number;
  readonly allocation: Parameters<typeof kindContext>[1];
}

async function tryChange(
  context: Context,
  change: Change,
  write: WriteOptions,
  { nowMs, allocation }: Attempt,
): Promise<Written | undefined> {
  const { kind, name } = change.target;
  const live = context.cache.get<KubeObject>(kind.resource, targetKey(change.target));
  if (live === undefined) throw notFound(kind.resource, name);
  const wanted = change.next(live.object);
  const current = await checkPreconditions(context, change.target, live, wanted);
  if (current === undefined) return undefined;
  const prepared = prepare(change, live.object, wanted, kindContext(nowMs, allocation));
  const object = track(kind, change, write, { live: live.object, object: prepared, nowMs });
  if (equal(object, withoutVersion(live.object))) return { object: live.object, item: live };
  check(change, object, live.object, write);
  const last = { ...object, metadata: { ...object.metadata, resourceVersion: String(live.revision) } };
  if (write.dryRun === true) return { object: last };
  const guard = allocation?.guard();
  const gone = isFinished(object);
  const written = await commitObject(context, {
    kind,
    live,
    object: gone ? undefined : object,
    ...(guard === undefined ? {} : { guard }),
  });
  // With its last finalizer it goes: the answer is what the writer made of it, which nobody else will see.
  return gone && written !== undefined ? { object: last } : written;
}

/** undefined: the cache was behind what the client has seen; try again. */
async function checkPreconditions(
  context: Context,
  { kind, name }: Target,
  live: CachedItem,
  wanted: KubeObject,
): Promise<CachedItem | undefined> {
  const { resourceVersion = "", uid = "" } = wanted.metadata ?? {};
  const liveUid = live.object.metadata?.uid;
  if (uid !== "" && uid !== liveUid) {
    throw conflict(
      kind.resource,
      name,
      `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${liveUid}`,
    );
  }
  if (resourceVersion === "" || resourceVersion === String(live.revision)) return live;
  if (Number(resourceVersion) > context.cache.revision) {
    await reachRevision(context, resourceVersion);
    return undefined;
  }
  throw changedMeanwhile(kind.resource, name);
}

function prepare(change: Change, live: WithParts, wanted: WithParts, context: KindContext): WithParts {
  if (typeof change.part === "object") {
    const prepared = partOf(change.target.kind, change.part.of).prepare(wanted, live);
    return withGeneration({ ...prepared, metadata: keptMetadata(live, live) }, live);
  }
  switch (change.part) {
    case "object":
      return prepareUpdate(change.target.kind, live, wanted, context);
    case "status":
      return prepareStatus(live, wanted);
    case "finalizers":
      return { ...withoutVersion(live), spec: wanted.spec } as WithParts;
    default:
      return unreachable(change.part);
  }
}

function prepareUpdate(kind: Kind, live: WithParts, wanted: WithParts, context: KindContext): WithParts {
  const object: WithParts = { ...wanted, metadata: keptMetadata(live, wanted) };
  return withGeneration(kind.prepareUpdate?.(object, live, context) ?? object, live);
}

function withGeneration(prepared: WithParts, live: WithParts): WithParts {
  if (live.metadata?.generation === undefined || equal(prepared.spec, live.spec)) return prepared;
  return { ...prepared, metadata: { ...prepared.metadata, generation: live.metadata.generation + 1 } };
}

function prepareStatus(live: WithParts, { status }: WithParts): WithParts {
  const { status: _, ...rest } = withoutVersion(live) as WithParts;
  return status === undefined ? rest : { ...rest, status };
}

/** What clients cannot change, as it was. */
function keptMetadata(live: KubeObject, wanted: KubeObject): KubeObject["metadata"] & object {
  const {
    resourceVersion: _v,
    selfLink: _s,
    deletionTimestamp: _d,
    deletionGracePeriodSeconds: _g,
    ...meta
  } = wanted.metadata ?? {};
  const was = live.metadata ?? {};
  return {
    ...meta,
    ...kept(was, "name", "namespace", "generateName", "uid", "creationTimestamp", "generation"),
    ...kept(was, "deletionTimestamp", "deletionGracePeriodSeconds"),
    ...(meta.managedFields === undefined ? kept(was, "managedFields") : {}),
  };
}

function kept<T extends object, K extends keyof T>(from: T, ...names: readonly K[]): Partial<Pick<T, K>> {
  const result: Partial<Pick<T, K>> = {};
  for (const name of names) if (from[name] !== undefined) result[name] = from[name];
  return result;
}

/** Field ownership is kept only for objects that have been applied by a server-side apply; others need none. */
function track(
  kind: Kind,
  { part, tracked }: Change,
  write: WriteOptions,
  { live, object, nowMs }: { readonly live: KubeObject; readonly object: KubeObject; readonly nowMs: number },
): KubeObject {
  if (tracked === true || (live.metadata?.managedFields ?? []).length === 0) return object;
  return trackUpdate({
    typeName: kind.resource.type,
    live: live as JsonObject,
    object: object as JsonObject,
    writer: {
      manager: write.fieldManager ?? write.user.name,
      apiVersion: object.apiVersion ?? "v1",
      ...subresourceOf(part),
      nowMs,
    },
  }) as KubeObject;
}

function check({ target: { kind }, part }: Change, object: KubeObject, live: KubeObject, write: WriteOptions): void {
  if (part === "status" || part === "finalizers") return;
  const errors: readonly FieldError[] =
    part === "object"
      ? [
          ...(kind.validate?.(object) ?? []),
          ...(kind.validateUpdate?.(object, live) ?? []),
          ...finalizerErrors(object, live),
        ]
      : partOf(kind, part.of).validate(object, live);
  if (errors.length > 0) throw invalidObject(kind.resource, object.metadata?.name ?? "", errors);
  reportUnsupported(kind, object, write);
}

function finalizerErrors(object: KubeObject, live: KubeObject): readonly FieldError[] {
  const had = live.metadata?.finalizers ?? [];
  const added = (object.metadata?.finalizers ?? []).filter((name) => !had.includes(name));
  if (live.metadata?.deletionTimestamp === undefined || added.length === 0) return [];
  const message = `no new finalizers can be added if the object is being deleted, found new finalizers ${JSON.stringify(added)}`;
  return [forbidden("metadata.finalizers", message)];
}

/** Who writes a part is told from who writes the whole. */
export function subresourceOf(part: Change["part"]): { readonly subresource?: string } {
  if (typeof part === "object") return { subresource: part.of };
  return part === "status" ? { subresource: "status" } : {};
}

function partOf(kind: Kind, name: string): Part<KubeObject> {
  const part = kind.parts?.[name];
  if (part === undefined) throw new ApiError("NotFound", `${kind.resource.resource} have no ${name}`);
  return part;
}

/** As the store holds it. */
function withoutVersion(object: KubeObject): KubeObject {
  const { resourceVersion: _, ...metadata } = object.metadata ?? {};
  return { ...object, metadata };
}
