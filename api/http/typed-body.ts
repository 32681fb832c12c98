// Bodies of requests that are no stored object, and what is said when a request makes no sense for its path.
import { isObject } from "../kinds/schema/schema.ts";
import { validateSchema } from "../kinds/schema/validate.ts";
import { ApiError } from "../kinds/status.ts";
import { readBody } from "./body.ts";
import type { Exchange } from "./exchange.ts";
import { noSuchResource, type ResourceRequest } from "./request-info.ts";

/** Throws Invalid for a body that is not of the type. */
export async function readTyped<T>(exchange: Exchange, type: string): Promise<T> {
  const body = await readBody(exchange);
  if (!isObject(body)) throw new ApiError("BadRequest", `the body must be a ${type.split(".").at(-1)}`);
  const error = validateSchema(type, body)[0];
  if (error !== undefined) {
    throw new ApiError("Invalid", `${type.split(".").at(-1)} is invalid: ${error.field}: ${error.message}`);
  }
  return body as T;
}

export function notAllowed(info: ResourceRequest): ApiError {
  if (info.name === undefined && info.subresource !== "") return noSuchResource();
  return new ApiError("MethodNotAllowed", "the server does not allow this method on the requested resource");
}
