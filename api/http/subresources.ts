// Subresources that are no part of their object: scale, binding, eviction, finalize.
import { timestamp } from "../../lib/clock.ts";
import type { Binding, DeleteOptions, Eviction } from "../kinds/generated/types.ts";
import type { Kind } from "../kinds/kind.ts";
import { patchTypes } from "../kinds/schema/patch.ts";
import { ApiError } from "../kinds/status.ts";
import type { PatchRequest } from "../verbs/patch.ts";
import { sendBytes, sendJson, success } from "./answer.ts";
import { mediaType, readBody } from "./body.ts";
import type { Door, Exchange } from "./exchange.ts";
import type { ResourceRequest } from "./request-info.ts";
import { targetOf, viewingOf, writeOptions } from "./resources.ts";
import { requestToken } from "./token-requests.ts";
import { notAllowed, readTyped } from "./typed-body.ts";
import { encodeOne } from "./views.ts";

type Handler = (door: Door, exchange: Exchange, info: ResourceRequest, kind: Kind) => Promise<number>;

/** By "resource/subresource". */
export const subresourceHandlers: Readonly<Record<string, Handler>> = {
  "deployments/scale": scale,
  "replicasets/scale": scale,
  "pods/binding": bind,
  "pods/eviction": evict,
  "namespaces/finalize": finalize,
  "serviceaccounts/token": requestToken,
};

async function scale(door: Door, exchange: Exchange, info: ResourceRequest, kind: Kind): Promise<number> {
  const target = targetOf(info, kind);
  switch (info.attributes.verb) {
    case "get":
      await sendJson(exchange, await door.verbs.getScale(target, exchange.signal));
      return 200;
    case "update":
      await sendJson(
        exchange,
        await door.verbs.updateScale({ ...target, body: await readBody(exchange) }, writeOptions(exchange)),
      );
      return 200;
    case "patch": {
      const type = patchTypes[mediaType(exchange)];
      if (type === undefined || type === "apply") {
        throw new ApiError("UnsupportedMediaType", "a scale takes merge, JSON and strategic merge patches");
      }
      const request = { ...target, body: await readBody(exchange), patch: type };
      await sendJson(exchange, await door.verbs.updateScale(request, writeOptions(exchange)));
      return 200;
    }
    default:
      throw notAllowed(info);
  }
}

async function bind(door: Door, exchange: Exchange, info: ResourceRequest, kind: Kind): Promise<number> {
  if (info.attributes.verb !== "create") throw notAllowed(info);
  const { name, namespace = "" } = targetOf(info, kind);
  const body = await readTyped<Binding>(exchange, "io.k8s.api.core.v1.Binding");
  const node = body.target.name ?? "";
  if (node === "") throw new ApiError("Invalid", "Binding is invalid: target.name: Required value");
  const uid = body.metadata?.uid ?? "";
  const dryRun = writeOptions(exchange).dryRun ?? false;
  const [refusal] = await door.verbs.bind([{ namespace, name, uid, node }], { dryRun });
  if (refusal !== undefined) throw refusal;
  await sendJson(exchange, success(undefined), 201);
  return 201;
}

/** Disruption budgets are not kept yet, so that an eviction is a graceful deletion. */
async function evict(door: Door, exchange: Exchange, info: ResourceRequest, kind: Kind): Promise<number> {
  if (info.attributes.verb !== "create") throw notAllowed(info);
  const body = await readTyped<Eviction>(exchange, "io.k8s.api.policy.v1.Eviction");
  const options: DeleteOptions = body.deleteOptions ?? {};
  const write = writeOptions(exchange);
  const dryRun = write.dryRun === true || options.dryRun?.includes("All") === true;
  const target = targetOf(info, kind);
  if (!dryRun) await door.verbs.patch({ ...target, part: "status", ...evicting(door) }, write);
  await door.verbs.delete(target, options, write);
  await sendJson(exchange, success(undefined), 201);
  return 201;
}

/** Says on the pod why it goes: for whoever asks whether a failure was its own. */
function evicting({ context }: Door): Pick<PatchRequest, "type" | "body"> {
  const condition = {
    type: "DisruptionTarget",
    status: "True",
    reason: "EvictionByEvictionAPI",
    message: "Eviction API: evicting",
    lastTransitionTime: timestamp(context.clock.now()),
  };
  return { type: "strategic", body: { status: { conditions: [condition] } } };
}

async function finalize(door: Door, exchange: Exchange, info: ResourceRequest, kind: Kind): Promise<number> {
  if (info.attributes.verb !== "update") throw notAllowed(info);
  const request = { ...targetOf(info, kind), body: await readBody(exchange) };
  const written = await door.verbs.finalizeNamespace(request, writeOptions(exchange));
  await sendBytes(exchange, { body: encodeOne(viewingOf(door, exchange, kind), written) });
  return 200;
}
