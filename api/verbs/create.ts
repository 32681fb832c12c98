// CREATE: identity for a new object, then admission, rules and the write.
import { timestamp } from "../../lib/clock.ts";
import { nameSuffix, uuid } from "../../lib/random.ts";
import { admissions } from "../admission/list.ts";
import type { Allocation } from "../allocation/allocator.ts";
import type { Kind } from "../kinds/kind.ts";
import type { KubeObject } from "../kinds/resource.ts";
import { invalidObject } from "../kinds/schema/field-error.ts";
import { builtinSchemas, propertyOf, schemaOf } from "../kinds/schema/schema.ts";
import { ApiError } from "../kinds/status.ts";
import { commitObject, type Written } from "./commit.ts";
import { type Collection, type Context, targetKey, type WriteOptions } from "./context.ts";
import { decodeObject, reportUnsupported } from "./decode.ts";
import { kindContext, withAllocation } from "./kind-context.ts";
import { alreadyExists, changedMeanwhile } from "./refusals.ts";

export interface CreateRequest extends Collection {
  readonly body: unknown;
  /** Set by server-side apply, which keeps managedFields itself. */
  readonly tracked?: true;
}

const triesMax = 12;
const generatedNameCharsMax = 63;

/** Refuses with AlreadyExists, Invalid, Forbidden, NotFound (its namespace). */
export async function createObject(context: Context, request: CreateRequest, write: WriteOptions): Promise<Written> {
  const { kind, namespace, body } = request;
  const decoded = decodeObject(kind, body, { write, ...(namespace === undefined ? {} : { namespace }) });
  if ((decoded.metadata?.resourceVersion ?? "") !== "") {
    throw new ApiError("BadRequest", "resourceVersion should not be set on objects to be created");
  }
  for (let tries = 0; tries < triesMax; tries++) {
    const written = await withAllocation(context, kind, (allocation) =>
      tryCreate(context, { ...request, decoded, allocation }, write),
    );
    if (written !== undefined) return written;
  }
  throw changedMeanwhile(kind.resource, decoded.metadata?.name ?? decoded.metadata?.generateName ?? "");
}

interface Attempt extends CreateRequest {
  readonly decoded: KubeObject;
  readonly allocation: Allocation | undefined;
}

async function tryCreate(context: Context, attempt: Attempt, write: WriteOptions): Promise<Written | undefined> {
  const { kind, namespace, decoded, allocation } = attempt;
  const nowMs = context.clock.now();
  const identified = identify(context, attempt, nowMs);
  const admitted = admissions.reduce((object, admit) => admit({ context, kind, namespace }, object), identified);
  const name = admitted.metadata?.name ?? "";
  const generated = (decoded.metadata?.name ?? "") === "";
  const target = { kind, name, ...(namespace === undefined ? {} : { namespace }) };
  if (context.cache.get(kind.resource, targetKey(target)) !== undefined) {
    if (generated) return undefined;
    throw alreadyExists(kind.resource, name);
  }
  const object = kind.prepareCreate?.(admitted, kindContext(nowMs, allocation)) ?? admitted;
  const errors = [...(kind.validate?.(object) ?? []), ...(kind.validateCreate?.(object) ?? [])];
  if (errors.length > 0) throw invalidObject(kind.resource, name, errors);
  reportUnsupported(kind, object, write);
  if (write.dryRun === true) return { object };
  const guard = allocation?.guard();
  return commitObject(context, { kind, live: undefined, object, ...(guard === undefined ? {} : { guard }) });
}

function identify({ random }: Context, { kind, decoded, tracked }: Attempt, nowMs: number): KubeObject {
  const {
    uid: _u,
    resourceVersion: _v,
    selfLink: _s,
    deletionTimestamp: _d,
    deletionGracePeriodSeconds: _g,
    generation: _n,
    managedFields,
    ...meta
  } = decoded.metadata ?? {};
  const generateName = meta.generateName ?? "";
  // Without either, the kind's rules say what is missing.
  const name =
    (meta.name ?? "") === "" && generateName !== ""
      ? `${generateName.slice(0, generatedNameCharsMax - 5)}${nameSuffix(random)}`
      : meta.name;
  return {
    ...decoded,
    metadata: {
      ...meta,
      ...(name === undefined ? {} : { name }),
      uid: uuid(random),
      ...(hasGeneration(kind) ? { generation: 1 } : {}),
      creationTimestamp: timestamp(nowMs),
      ...(tracked === true && managedFields !== undefined ? { managedFields } : {}),
    },
  };
}

/** Kinds whose status follows a spec count the spec's changes. */
function hasGeneration({ resource }: Kind): boolean {
  const status = propertyOf(schemaOf(resource.type, builtinSchemas), "status");
  const observed = status?.ref === undefined ? undefined : schemaOf(status.ref, builtinSchemas);
  return observed !== undefined && propertyOf(observed, "observedGeneration") !== undefined;
}
