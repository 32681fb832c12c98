// What clients send: blobs in parts or at once, mounted from other repositories, and manifests.
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Clock } from "../../lib/clock.ts";
import { manifestBytesMax } from "../images/manifest.ts";
import type { PushedImages } from "../images/pushed-images.ts";
import { isDigest } from "../images/reference.ts";
import type { Caller } from "./access.ts";
import { pacedBody, readBody } from "./body.ts";
import { RegistryError } from "./errors.ts";
import { checkDigest, type Route } from "./routes.ts";

export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly query: URLSearchParams;
  readonly caller: Caller;
}

export interface PushContext {
  readonly pushed: PushedImages;
  readonly clock: Clock;
}

type Of<Type extends Route["type"]> = Extract<Route, { readonly type: Type }>;

/** POST: opens an upload; with ?mount=, or ?digest= and the whole blob, there is nothing more to do. */
export async function startUpload(context: PushContext, exchange: Exchange, { repository }: { repository: string }) {
  const { pushed } = context;
  const { query, response, caller } = exchange;
  const mount = query.get("mount") ?? "";
  if (isDigest(mount) && (await pushed.blobBytes(mount)) !== undefined) {
    sendCreatedBlob(response, repository, mount);
    return;
  }
  const isWhole = query.has("digest");
  if (isWhole) checkDigest(query.get("digest") ?? "");
  const owner = { user: caller.name, repository };
  const upload = pushed.uploads.start(owner);
  if (isWhole) {
    // The client does not know its name: it cannot go on after a failure, and what nobody finishes counts against the user.
    await finishUpload(context, exchange, { type: "upload", repository, id: upload.id }).catch(async (error) => {
      await pushed.uploads.cancel(upload.id, owner).catch(() => {});
      throw error;
    });
    return;
  }
  sendUpload(response, 202, { repository, ...upload });
}

/** GET: how far it is. PATCH: more of it. PUT: the last of it. DELETE: no more of it. */
export async function goOnUploading(context: PushContext, exchange: Exchange, route: Of<"upload">): Promise<void> {
  const { request, response, caller } = exchange;
  const { uploads } = context.pushed;
  const { id, repository } = route;
  const owner = { user: caller.name, repository };
  switch (request.method) {
    case "GET":
      sendUpload(response, 204, { repository, ...uploads.find(id, owner) });
      return;
    case "DELETE":
      await uploads.cancel(id, owner);
      response.writeHead(204).end();
      return;
    case "PATCH": {
      const body = pacedBody(request, context.clock);
      sendUpload(response, 202, {
        repository,
        ...(await uploads.append(id, owner, { body, fromByte: firstByte(request) })),
      });
      return;
    }
    default:
      await finishUpload(context, exchange, route);
  }
}

/** PUT of a manifest. */
export async function putManifest(
  { pushed, clock }: PushContext,
  { request, response }: Exchange,
  { repository, reference }: Of<"manifest">,
): Promise<void> {
  const contentType = (request.headers["content-type"] ?? "").split(";")[0]?.trim() ?? "";
  const bytes = await readBody(request, { clock, bytesMax: manifestBytesMax });
  const { digest, subject } = await pushed.put({ reference, contentType, bytes });
  response.writeHead(201, {
    location: `/v2/${repository}/manifests/${digest}`,
    "docker-content-digest": digest,
    ...(subject === undefined ? {} : { "oci-subject": subject }),
    "content-length": 0,
  });
  response.end();
}

async function finishUpload(
  { pushed, clock }: PushContext,
  { request, response, query, caller }: Exchange,
  { id, repository }: Of<"upload">,
): Promise<void> {
  const digest = checkDigest(query.get("digest") ?? "");
  const owner = { user: caller.name, repository };
  const { uploads } = pushed;
  await uploads.append(id, owner, { body: pacedBody(request, clock), fromByte: firstByte(request) });
  await uploads.finish(id, owner, { digest, take: (path) => pushed.takeBlob(path, digest) });
  sendCreatedBlob(response, repository, digest);
}

// "Content-Range: 0-1023" of the spec, "bytes 0-1023/*" of some clients.
function firstByte({ headers }: IncomingMessage): number | undefined {
  const header = headers["content-range"];
  if (header === undefined) return undefined;
  const [, first] = /^(?:bytes[ =])?(\d+)-\d+(?:\/.*)?$/.exec(header) ?? [];
  if (first === undefined) throw new RegistryError(416, "BLOB_UPLOAD_INVALID", "content-range is like 0-1023");
  return Number(first);
}

function sendUpload(
  response: ServerResponse,
  status: number,
  { repository, id, doneBytes }: { repository: string; id: string; doneBytes: number },
): void {
  response.writeHead(status, {
    location: `/v2/${repository}/blobs/uploads/${id}`,
    range: `0-${Math.max(0, doneBytes - 1)}`,
    "docker-upload-uuid": id,
    ...(status === 204 ? {} : { "content-length": 0 }),
  });
  response.end();
}

function sendCreatedBlob(response: ServerResponse, repository: string, digest: string): void {
  response.writeHead(201, {
    location: `/v2/${repository}/blobs/${digest}`,
    "docker-content-digest": digest,
    "content-length": 0,
  });
  response.end();
}
