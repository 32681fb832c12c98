// DELETE of one object, and of all that selectors choose.
import type { CachedItem } from "../cache/watch-cache.ts";
import type { DeleteOptions } from "../kinds/generated/types.ts";
import type { KubeObject } from "../kinds/resource.ts";
import { isReason } from "../kinds/status.ts";
import { commitObject, type Written } from "./commit.ts";
import { type Context, type Target, targetKey, type WriteOptions } from "./context.ts";
import { planDeletion } from "./deletion.ts";
import { type ListRequest, type ListResult, listObjects } from "./list.ts";
import { changedMeanwhile, conflict, forbidden, notFound } from "./refusals.ts";

export interface Deleted extends Written {
  /** False: it is marked and waits for its finalizers or its node. */
  readonly gone: boolean;
}

const triesMax = 12;
const deletesInFlightMax = 64;

/** Refuses with NotFound, Conflict (preconditions) or Forbidden. */
export async function deleteObject(
  context: Context,
  target: Target,
  options: DeleteOptions,
  write: WriteOptions,
): Promise<Deleted> {
  const { kind, name } = target;
  const lasts = kind.lasting?.get(name);
  if (lasts !== undefined) throw forbidden(kind.resource, name, lasts);
  for (let tries = 0; tries < triesMax; tries++) {
    const live = context.cache.get<KubeObject>(kind.resource, targetKey(target));
    if (live === undefined) throw notFound(kind.resource, name);
    checkPreconditions(target, live, options);
    const plan = planDeletion(live.object, options, context.clock.now());
    if (plan.type === "unchanged") return { object: live.object, item: live, gone: false };
    const object = plan.type === "marked" ? plan.object : undefined;
    if (write.dryRun === true || options.dryRun?.includes("All") === true) {
      return { object: object ?? live.object, gone: object === undefined };
    }
    const written = await commitObject(context, { kind, live, object });
    if (written !== undefined) return { ...written, gone: object === undefined };
  }
  throw changedMeanwhile(kind.resource, name);
}

/** Deletes what the request selects; what vanishes meanwhile counts as done. Resolves to what was there. */
export async function deleteCollection(
  context: Context,
  request: ListRequest,
  options: DeleteOptions,
  write: WriteOptions,
): Promise<ListResult> {
  const list = await listObjects(context, request);
  const waiting = list.items.values();
  const worker = async () => {
    for (const { object } of waiting) {
      const { name = "", namespace } = object.metadata ?? {};
      const target = { kind: request.kind, name, ...(namespace === undefined ? {} : { namespace }) };
      await deleteObject(context, target, options, write).catch((error: unknown) => {
        if (!isReason(error, "NotFound")) throw error;
      });
    }
  };
  await Promise.all(Array.from({ length: deletesInFlightMax }, worker));
  return list;
}

function checkPreconditions({ kind, name }: Target, live: CachedItem, { preconditions }: DeleteOptions): void {
  const { uid, resourceVersion } = preconditions ?? {};
  const meta = live.object.metadata ?? {};
  if (uid !== undefined && uid !== meta.uid) {
    throw conflict(
      kind.resource,
      name,
      `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${meta.uid}`,
    );
  }
  if (resourceVersion !== undefined && resourceVersion !== String(live.revision)) {
    const versions = `ResourceVersion in precondition: ${resourceVersion}, ResourceVersion in object meta: ${live.revision}`;
    throw conflict(kind.resource, name, `Precondition failed: ${versions}`);
  }
}
