// PATCH: merge, JSON, strategic, and server-side apply, of an object or of a part of it, such as its status.
import type { KubeObject } from "../kinds/resource.ts";
import { applyServerSide } from "../kinds/schema/apply.ts";
import { applyPatch, type PatchType } from "../kinds/schema/patch.ts";
import { isObject, type JsonObject } from "../kinds/schema/schema.ts";
import { ApiError, isReason } from "../kinds/status.ts";
import { type Change, changeObject, subresourceOf } from "./change.ts";
import type { Written } from "./commit.ts";
import { type Context, type Target, targetKey, type WriteOptions } from "./context.ts";
import { createObject } from "./create.ts";
import { decodeObject } from "./decode.ts";

export interface PatchRequest extends Target {
  readonly type: PatchType | "apply";
  readonly body: unknown;
  readonly part: Change["part"];
  /** Server-side apply: take fields from other managers. */
  readonly force?: boolean;
}

export interface Patched extends Written {
  readonly created: boolean;
}

/** Tried again on what others wrote meanwhile, unless the patch names a resourceVersion. */
export async function patchObject(context: Context, request: PatchRequest, write: WriteOptions): Promise<Patched> {
  if (request.type === "apply") return applyObject(context, request, write);
  const { type, body } = request;
  const written = await changeObject(
    context,
    changeBy(request, write, (live) => applyPatch(type, request.kind.resource.type, live as JsonObject, body)),
    write,
  );
  return { ...written, created: false };
}

const createTriesMax = 3;

async function applyObject(context: Context, request: PatchRequest, write: WriteOptions): Promise<Patched> {
  const { kind, name, namespace } = request;
  if (write.fieldManager === undefined || write.fieldManager === "") {
    throw new ApiError(
      "BadRequest",
      'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch',
    );
  }
  if (!isObject(request.body)) throw new ApiError("BadRequest", "an applied object must be a JSON or YAML object");
  const applied = appliedObject(request, request.body, write);
  for (let tries = 0; ; tries++) {
    if (context.cache.get(kind.resource, targetKey(request)) !== undefined) {
      const change = changeBy(request, write, (live) => serverSide(context, request, write, { live, applied }));
      return { ...(await changeObject(context, { ...change, tracked: true }, write)), created: false };
    }
    if (request.part !== "object") throw new ApiError("NotFound", `${kind.resource.resource} "${name}" not found`);
    const body = serverSide(context, request, write, { live: undefined, applied });
    try {
      const collection = { kind, body, tracked: true, ...(namespace === undefined ? {} : { namespace }) } as const;
      return { ...(await createObject(context, collection, write)), created: true };
    } catch (error) {
      if (!isReason(error, "AlreadyExists") || tries >= createTriesMax) throw error;
    }
  }
}

/** Checked as any object is, but without defaults: an applier owns only what it sent. */
function appliedObject({ kind, name, namespace }: PatchRequest, body: JsonObject, write: WriteOptions): JsonObject {
  decodeObject(kind, body, { write, name, ...(namespace === undefined ? {} : { namespace }) });
  const metadata = isObject(body["metadata"]) ? body["metadata"] : {};
  return { ...body, metadata: { ...metadata, name, ...(namespace === undefined ? {} : { namespace }) } };
}

function serverSide(
  { clock }: Context,
  { kind, force, part }: PatchRequest,
  write: WriteOptions,
  { live, applied }: { readonly live: KubeObject | undefined; readonly applied: JsonObject },
): JsonObject {
  return applyServerSide({
    typeName: kind.resource.type,
    live: live as JsonObject | undefined,
    applied,
    writer: {
      manager: write.fieldManager ?? write.user.name,
      apiVersion: String(applied["apiVersion"] ?? ""),
      ...subresourceOf(part),
      nowMs: clock.now(),
    },
    force: force === true,
  });
}

function changeBy(request: PatchRequest, write: WriteOptions, patch: (live: KubeObject) => unknown): Change {
  const { kind, name, namespace, part } = request;
  return {
    target: request,
    part,
    next: (live) => decodeObject(kind, patch(live), { write, name, ...(namespace === undefined ? {} : { namespace }) }),
  };
}
