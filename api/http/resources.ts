// Requests for stored resources: reads query and body, calls the verb, answers in the client's view.
import type { DeleteOptions } from "../kinds/generated/types.ts";
import type { Kind } from "../kinds/kind.ts";
import { deleteOptionsType } from "../kinds/schema/openapi-paths.ts";
import { patchTypes } from "../kinds/schema/patch.ts";
import { isObject } from "../kinds/schema/schema.ts";
import { validateSchema } from "../kinds/schema/validate.ts";
import { ApiError } from "../kinds/status.ts";
import type { FieldValidation, Target, WriteOptions } from "../verbs/context.ts";
import type { ListRequest } from "../verbs/list.ts";
import { details } from "../verbs/refusals.ts";
import type { UpdateRequest } from "../verbs/update.ts";
import { viewOf } from "./accept.ts";
import { sendBytes, success } from "./answer.ts";
import { mediaType, readBody } from "./body.ts";
import { type Door, type Exchange, header } from "./exchange.ts";
import { isTrue, noSuchResource, type ResourceRequest } from "./request-info.ts";
import { encodeList, encodeOne, includeObjectOf, type Viewing } from "./views.ts";
import { streamWatch } from "./watch-stream.ts";

/** Answers everything but the subresources of their own files. Returns the status code. */
export async function handleResource(
  door: Door,
  exchange: Exchange,
  info: ResourceRequest,
  kind: Kind,
): Promise<number> {
  const viewing = viewingOf(door, exchange, kind);
  switch (info.attributes.verb) {
    case "get": {
      const resourceVersion = exchange.query.get("resourceVersion");
      const request = { ...targetOf(info, kind), ...(resourceVersion === null ? {} : { resourceVersion }) };
      const item = await door.verbs.get(request, exchange.signal);
      return send(exchange, viewing, encodeOne(viewing, { object: item.object, item }));
    }
    case "list": {
      const list = await door.verbs.list(listRequest(exchange, info, kind), exchange.signal);
      return send(exchange, viewing, encodeList(viewing, list));
    }
    case "watch":
      await watch(door, exchange, info, viewing);
      return 200;
    case "create": {
      if (info.name !== undefined) throw new ApiError("MethodNotAllowed", "objects are created in their collection");
      const request = { kind, body: await readBody(exchange), ...namespaceOf(info) };
      return send(exchange, viewing, encodeOne(viewing, await door.verbs.create(request, writeOptions(exchange))), 201);
    }
    case "update": {
      const request = { ...targetOf(info, kind), part: partOf(info), body: await readBody(exchange) };
      return send(exchange, viewing, encodeOne(viewing, await door.verbs.update(request, writeOptions(exchange))));
    }
    case "patch":
      return patch(door, exchange, info, viewing);
    case "delete":
      return remove(door, exchange, info, viewing);
    case "deletecollection": {
      const options = await deleteOptions(exchange);
      const request = listRequest(exchange, info, kind);
      const list = await door.verbs.deleteCollection(request, options, writeOptions(exchange));
      return send(exchange, viewing, encodeList(viewing, list));
    }
    default:
      throw new ApiError("MethodNotAllowed", `the server does not know the verb ${info.attributes.verb}`);
  }
}

export function targetOf(info: ResourceRequest, kind: Kind): Target {
  if (info.name === undefined)
    throw new ApiError("MethodNotAllowed", "the server does not allow this method on a collection");
  return { kind, name: info.name, ...namespaceOf(info) };
}

export function writeOptions(exchange: Exchange): WriteOptions {
  const { query, user, warnings } = exchange;
  const validation = query.get("fieldValidation") ?? "Warn";
  if (!["Ignore", "Warn", "Strict"].includes(validation)) {
    throw new ApiError(
      "BadRequest",
      `fieldValidation: Unsupported value: ${JSON.stringify(validation)}: supported values: "Ignore", "Strict", "Warn"`,
    );
  }
  const dryRun = query.getAll("dryRun");
  if (dryRun.some((value) => value !== "All")) {
    throw new ApiError("BadRequest", `dryRun: Unsupported value: ${JSON.stringify(dryRun)}: supported values: "All"`);
  }
  const agent = header(exchange, "user-agent")?.split("/")[0] ?? "unknown";
  return {
    user,
    fieldManager: query.get("fieldManager") ?? agent,
    fieldValidation: validation as FieldValidation,
    dryRun: dryRun.length > 0,
    // A write that is tried again finds the same once more.
    warn: (message) => {
      if (!warnings.includes(message)) warnings.push(message);
    },
  };
}

async function deleteOptions(exchange: Exchange): Promise<DeleteOptions> {
  const body = await readBody(exchange);
  const { query } = exchange;
  const grace = query.get("gracePeriodSeconds");
  const policy = query.get("propagationPolicy");
  const fromQuery = {
    ...(grace === null ? {} : { gracePeriodSeconds: wholeNumber("gracePeriodSeconds", grace) }),
    ...(policy === null ? {} : { propagationPolicy: policy }),
  };
  if (body === undefined) return fromQuery;
  if (!isObject(body)) throw new ApiError("BadRequest", "the body must be DeleteOptions");
  const error = validateSchema(deleteOptionsType, body)[0];
  if (error !== undefined) throw new ApiError("BadRequest", `DeleteOptions: ${error.field}: ${error.message}`);
  return { ...fromQuery, ...(body as DeleteOptions) };
}

export function viewingOf(door: Door, exchange: Exchange, kind: Kind): Viewing {
  const view = viewOf(header(exchange, "accept"));
  return { view, kind, now: () => door.context.clock.now(), includeObject: includeObjectOf(exchange.query) };
}

function partOf({ subresource, kind }: ResourceRequest): UpdateRequest["part"] {
  if (subresource === "") return "object";
  if (subresource === "status") return "status";
  if (kind?.parts?.[subresource] !== undefined) return { of: subresource };
  throw noSuchResource();
}

async function patch(door: Door, exchange: Exchange, info: ResourceRequest, viewing: Viewing): Promise<number> {
  const target = targetOf(info, viewing.kind);
  const type = patchTypes[mediaType(exchange)];
  if (type === undefined) {
    throw new ApiError(
      "UnsupportedMediaType",
      `the body of the request was in an unknown format - accepted media types include: ${Object.keys(patchTypes).join(", ")}`,
    );
  }
  const force = isTrue(exchange.query.get("force"));
  const request = { ...target, type, part: partOf(info), body: await readBody(exchange), force };
  const managed = writeOptions(exchange);
  const named = exchange.query.get("fieldManager") ?? "";
  // An applier must say who it is; for the others the program's name will do.
  const write = type === "apply" ? { ...managed, fieldManager: named } : managed;
  const written = await door.verbs.patch(request, write);
  return send(exchange, viewing, encodeOne(viewing, written), written.created ? 201 : 200);
}

async function remove(door: Door, exchange: Exchange, info: ResourceRequest, viewing: Viewing): Promise<number> {
  if (info.subresource !== "") throw noSuchResource();
  const target = targetOf(info, viewing.kind);
  const deleted = await door.verbs.delete(target, await deleteOptions(exchange), writeOptions(exchange));
  // Kubernetes answers a pod's deletion with the pod, and others' with a Status once they are gone.
  if (!deleted.gone || viewing.kind.resource.kind === "Pod") {
    return send(exchange, viewing, encodeOne(viewing, deleted));
  }
  const { uid } = deleted.object.metadata ?? {};
  const status = success({ ...details(viewing.kind.resource, target.name), ...(uid === undefined ? {} : { uid }) });
  await sendBytes(exchange, { body: Buffer.from(JSON.stringify(status)) });
  return 200;
}

async function watch(door: Door, exchange: Exchange, info: ResourceRequest, viewing: Viewing): Promise<void> {
  const { query, signal } = exchange;
  const seconds = query.get("timeoutSeconds");
  const initial = query.get("sendInitialEvents");
  const match = query.get("resourceVersionMatch");
  const stream = await door.verbs.watch(
    {
      ...baseRequest(exchange, info, viewing.kind),
      allowWatchBookmarks: isTrue(query.get("allowWatchBookmarks")),
      ...(initial === null ? {} : { sendInitialEvents: isTrue(initial) }),
      ...(match === null ? {} : { resourceVersionMatch: match }),
      ...(seconds === null ? {} : { timeoutSeconds: wholeNumber("timeoutSeconds", seconds) }),
    },
    signal,
  );
  await streamWatch(exchange, viewing, stream);
}

function listRequest(exchange: Exchange, info: ResourceRequest, kind: Kind): ListRequest {
  const { query } = exchange;
  const match = query.get("resourceVersionMatch") ?? undefined;
  if (match !== undefined && match !== "Exact" && match !== "NotOlderThan") {
    throw new ApiError(
      "BadRequest",
      `resourceVersionMatch: Unsupported value: ${JSON.stringify(match)}: supported values: "Exact", "NotOlderThan"`,
    );
  }
  return {
    ...baseRequest(exchange, info, kind),
    ...(match === undefined ? {} : { resourceVersionMatch: match }),
    limit: wholeNumber("limit", query.get("limit") ?? "0"),
    continue: query.get("continue") ?? "",
  };
}

/** What list and watch share. A request for one object by name is a selection by name. */
function baseRequest({ query }: Exchange, info: ResourceRequest, kind: Kind) {
  const named = info.name === undefined ? "" : `metadata.name=${info.name}`;
  return {
    kind,
    ...namespaceOf(info),
    labelSelector: query.get("labelSelector") ?? "",
    fieldSelector: [named, query.get("fieldSelector") ?? ""].filter((text) => text !== "").join(","),
    resourceVersion: query.get("resourceVersion") ?? "",
  };
}

function namespaceOf({ namespace }: ResourceRequest): { readonly namespace?: string } {
  return namespace === undefined ? {} : { namespace };
}

async function send(exchange: Exchange, { view }: Viewing, body: Uint8Array, code = 200): Promise<number> {
  await sendBytes(exchange, { code, body, yaml: view.yaml });
  return code;
}

export function wholeNumber(name: string, text: string): number {
  const value = text === "" ? 0 : Number(text);
  if (!Number.isSafeInteger(value))
    throw new ApiError("BadRequest", `${name}: Invalid value: ${JSON.stringify(text)}: must be a whole number`);
  return value;
}
