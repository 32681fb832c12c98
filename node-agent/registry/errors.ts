// Refusals of the registry, in the words of the OCI distribution spec.
import type { IncomingMessage, ServerResponse } from "node:http";
import { PullError, type PullFailure } from "../images/images.ts";
import { MissingPartError } from "../images/pushed-images.ts";
import { UploadError } from "../images/uploads.ts";

const drainBytesMax = 16 * 1024 * 1024;
const drainMsMax = 10_000;

export class RegistryError extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "RegistryError";
    this.status = status;
    this.code = code;
  }
}

const ofUploads: Readonly<Record<UploadError["reason"], readonly [status: number, code: string]>> = {
  unknown: [404, "BLOB_UPLOAD_UNKNOWN"],
  busy: [409, "BLOB_UPLOAD_INVALID"],
  range: [416, "BLOB_UPLOAD_INVALID"],
  size: [413, "SIZE_INVALID"],
  digest: [400, "DIGEST_INVALID"],
  many: [429, "TOOMANYREQUESTS"],
};

const ofPulls: Partial<Record<PullFailure, readonly [status: number, code: string]>> = {
  BadLayer: [400, "MANIFEST_INVALID"],
  WrongDigest: [400, "DIGEST_INVALID"],
  InvalidImageName: [400, "NAME_INVALID"],
  NotFound: [404, "MANIFEST_UNKNOWN"],
  NoSpace: [507, "DENIED"],
};

/** What to answer to whatever went wrong. */
export function refusalOf(error: unknown): RegistryError {
  if (error instanceof RegistryError) return error;
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof MissingPartError)
    return new RegistryError(404, "MANIFEST_BLOB_UNKNOWN", message, { cause: error });
  if (error instanceof UploadError) {
    const [status, code] = ofUploads[error.reason];
    return new RegistryError(status, code, message, { cause: error });
  }
  const [status, code] = (error instanceof PullError ? ofPulls[error.failure] : undefined) ?? [500, "UNKNOWN"];
  return new RegistryError(status, code, message, { cause: error });
}

export function refuse(response: ServerResponse, error: unknown): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const { status, code, message } = refusalOf(error);
  const body = JSON.stringify({ errors: [{ code, message }] });
  response.writeHead(status, {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(body),
    ...(status === 401 ? { "www-authenticate": 'Basic realm="naru"' } : {}),
    ...(status === 429 || status === 503 ? { "retry-after": "1" } : {}),
  });
  response.end(body);
  drain(response.req);
}

// A client that still sends would not hear the reason on a connection that is cut; who sends on and on is cut all the same.
function drain(request: IncomingMessage): void {
  if (request.complete || request.destroyed) return;
  let bytes = 0;
  request.on("data", (part: Buffer) => {
    bytes += part.length;
    if (bytes > drainBytesMax) request.destroy();
  });
  request.on("error", () => {});
  request.setTimeout(drainMsMax, () => request.destroy());
}
