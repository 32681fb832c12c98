// The scale subresource: how many replicas, whatever the kind.
import type { Scale } from "../kinds/generated/types.ts";
import type { KubeObject } from "../kinds/resource.ts";
import { applyPatch, type PatchType } from "../kinds/schema/patch.ts";
import { isObject, type JsonObject } from "../kinds/schema/schema.ts";
import { formatSelector, selectorOf } from "../kinds/schema/selector.ts";
import { validateSchema } from "../kinds/schema/validate.ts";
import { ApiError } from "../kinds/status.ts";
import { changeObject } from "./change.ts";
import type { Context, Target, WriteOptions } from "./context.ts";
import { type GetRequest, getObject } from "./get.ts";

interface Scalable extends KubeObject {
  readonly spec?: { readonly replicas?: number; readonly selector?: Parameters<typeof selectorOf>[0] };
  readonly status?: { readonly replicas?: number };
}

const scaleType = "io.k8s.api.autoscaling.v1.Scale";

export async function getScale(context: Context, request: GetRequest, signal?: AbortSignal): Promise<Scale> {
  return scaleOf((await getObject(context, request, signal)).object);
}

export interface ScaleRequest extends Target {
  /** A whole Scale, or a patch of one. */
  readonly body: unknown;
  readonly patch?: PatchType;
}

/** Refuses as update does. */
export async function updateScale(context: Context, request: ScaleRequest, write: WriteOptions): Promise<Scale> {
  const { body, patch } = request;
  const next = (live: Scalable): Scalable => {
    const wanted = patch === undefined ? body : applyPatch(patch, scaleType, { ...scaleOf(live) }, body);
    const scale = readScale(wanted);
    const { resourceVersion, uid } = scale.metadata ?? {};
    return {
      ...live,
      metadata: {
        ...live.metadata,
        ...(resourceVersion === undefined ? {} : { resourceVersion }),
        ...(uid === undefined ? {} : { uid }),
      },
      spec: { ...live.spec, replicas: scale.spec?.replicas ?? 0 },
    };
  };
  return scaleOf((await changeObject(context, { target: request, part: "object", next }, write)).object);
}

function readScale(body: unknown): Scale {
  if (!isObject(body)) throw new ApiError("BadRequest", "the body must be a Scale");
  const error = validateSchema(scaleType, body)[0];
  if (error !== undefined) throw new ApiError("Invalid", `Scale is invalid: ${error.field}: ${error.message}`);
  const scale = body as JsonObject as Scale;
  if ((scale.spec?.replicas ?? 0) < 0) {
    throw new ApiError(
      "Invalid",
      `Scale is invalid: spec.replicas: Invalid value: ${scale.spec?.replicas}: must not be negative`,
    );
  }
  return scale;
}

function scaleOf(object: Scalable): Scale {
  const { name, namespace, uid, resourceVersion, creationTimestamp } = object.metadata ?? {};
  const selector = selectorOf(object.spec?.selector);
  return {
    kind: "Scale",
    apiVersion: "autoscaling/v1",
    metadata: JSON.parse(JSON.stringify({ name, namespace, uid, resourceVersion, creationTimestamp })) as object,
    spec: { replicas: object.spec?.replicas ?? 1 },
    status: {
      replicas: object.status?.replicas ?? 0,
      ...(selector === undefined ? {} : { selector: formatSelector(selector) }),
    },
  };
}
