// The sending half of the OCI distribution spec 1.1: blobs looked for, mounted, uploaded with resumption, and manifests.
import { drop, type HttpResponse, readBody } from "./http.ts";
import { PushError } from "./library.ts";
import { isObject } from "./manifest.ts";
import { type Access, denied, type Registry } from "./registry.ts";

export interface Upload {
  readonly digest: string;
  readonly sizeBytes: number;
  /** The blob's bytes from a place on. */
  read(fromByte: number): AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
}

const triesMax = 4;
const errorBytesMax = 64 * 1024;
const octets = { "content-type": "application/octet-stream" };

/** Whether the repository has a blob. */
export async function findUploaded(
  registry: Registry,
  access: Access,
  digest: string,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const response = await registry.ask(access, { method: "HEAD", path: `blobs/${digest}`, headers: {} }, signal);
  drop(response);
  if (response.status === 401 || response.status === 403) throw refusedUser(registry, access, response);
  return response.status === 200;
}

/** True when the registry took the blob over from another of its repositories. */
export async function mountBlob(
  registry: Registry,
  access: Access,
  { digest, from }: { readonly digest: string; readonly from: string },
  signal: AbortSignal,
): Promise<boolean> {
  const query = new URLSearchParams({ mount: digest, from });
  const asked = { method: "POST" as const, path: `blobs/uploads/?${query}`, headers: { "content-length": "0" } };
  const response = await registry.ask({ ...access, reads: [from] }, asked, signal);
  drop(response);
  if (response.status === 201) return true;
  // It began an upload instead, which nobody will need.
  const location = response.status === 202 ? locationOf(registry, response) : undefined;
  if (location !== undefined) {
    const ended = await registry.ask(access, { method: "DELETE", path: location, headers: {} }, signal);
    drop(ended);
  }
  return false;
}

/** Sends a blob; goes on where a connection broke, as far as the registry remembers. */
export async function uploadBlob(
  registry: Registry,
  access: Access,
  upload: Upload,
  signal: AbortSignal | undefined,
): Promise<void> {
  const started = await registry.ask(
    access,
    { method: "POST", path: "blobs/uploads/", headers: { "content-length": "0" } },
    signal,
  );
  if (started.status !== 202) throw await refused(registry, access, started);
  drop(started);
  let location = locationOf(registry, started);
  let doneBytes = 0;
  for (let failures = 0; doneBytes < upload.sizeBytes; ) {
    try {
      const answer = await sendRest(registry, access, { upload, location, doneBytes }, signal);
      location = locationOf(registry, answer);
      doneBytes = upload.sizeBytes;
    } catch (error) {
      signal?.throwIfAborted();
      if (error instanceof PushError || ++failures >= triesMax) throw error;
      await registry.pause(failures, signal);
      ({ location, doneBytes } = await askProgress(registry, access, location, signal));
    }
  }
  const end = new URL(location);
  end.searchParams.set("digest", upload.digest);
  const ended = await registry.ask(
    access,
    { method: "PUT", path: end, headers: { ...octets, "content-length": "0" } },
    signal,
  );
  if (ended.status !== 201) throw await refused(registry, access, ended);
  drop(ended);
}

/** Stores a manifest under a tag or its digest. */
export async function putManifest(
  registry: Registry,
  access: Access,
  manifest: { readonly bytes: Buffer; readonly digest: string; readonly mediaType: string; readonly name: string },
  signal: AbortSignal | undefined,
): Promise<void> {
  const { bytes, mediaType, name } = manifest;
  const headers = { "content-type": mediaType, "content-length": String(bytes.length) };
  const body = async function* () {
    yield bytes;
  };
  const response = await registry.ask(access, { method: "PUT", path: `manifests/${name}`, headers, body }, signal);
  if (response.status !== 201) throw await refused(registry, access, response);
  drop(response);
  const announced = response.headers["docker-content-digest"];
  if (typeof announced === "string" && announced !== manifest.digest) {
    throw new PushError(
      "Refused",
      `${registry.host} stored manifest ${manifest.digest} as ${announced}: the registry or the way to it is broken`,
    );
  }
}

async function sendRest(
  registry: Registry,
  access: Access,
  { upload, location, doneBytes }: { readonly upload: Upload; readonly location: URL; readonly doneBytes: number },
  signal: AbortSignal | undefined,
): Promise<HttpResponse> {
  const headers = {
    ...octets,
    "content-length": String(upload.sizeBytes - doneBytes),
    "content-range": `${doneBytes}-${upload.sizeBytes - 1}`,
  };
  const body = async function* () {
    yield* upload.read(doneBytes);
  };
  const answer = await registry.ask(access, { method: "PATCH", path: location, headers, body }, signal);
  // 416: it has another part than we think, which it will tell.
  if (answer.status === 416) throw new Error(`${registry.host} wants another part`);
  if (answer.status !== 202) throw await refused(registry, access, answer);
  drop(answer);
  return answer;
}

async function askProgress(
  registry: Registry,
  access: Access,
  location: URL,
  signal: AbortSignal | undefined,
): Promise<{ readonly location: URL; readonly doneBytes: number }> {
  const answer = await registry.ask(access, { method: "GET", path: location, headers: {} }, signal);
  if (answer.status !== 204) throw await refused(registry, access, answer);
  drop(answer);
  const [, last] = /^0-(\d+)$/.exec(answer.headers["range"]?.toString() ?? "") ?? [];
  // "0-0" is what registries say of nothing, too: a byte again does no harm to them.
  const doneBytes = last === undefined || last === "0" ? 0 : Number(last) + 1;
  return { location: answer.headers.location === undefined ? location : locationOf(registry, answer), doneBytes };
}

function locationOf(registry: Registry, response: HttpResponse): URL {
  const { location } = response.headers;
  if (location === undefined) throw new PushError("Refused", `${registry.host} does not say where an upload goes`);
  return new URL(location, response.url);
}

// In the registry's own words, as far as it has any.
async function refused(registry: Registry, access: Access, response: HttpResponse): Promise<Error> {
  if (response.status === 401 || response.status === 403) {
    drop(response);
    return refusedUser(registry, access, response);
  }
  const body = await readBody(response, errorBytesMax).catch(() => Buffer.alloc(0));
  return new PushError(
    "Refused",
    `${registry.host} refused the push to ${access.repository} (${response.status})${reasonIn(body)}`,
  );
}

function refusedUser(registry: Registry, access: Access, { status }: HttpResponse): Error {
  return denied(`${registry.host}/${access.repository}`, status, access);
}

function reasonIn(body: Buffer): string {
  let parsed: unknown;
  try {
    parsed = JSON.parse(body.toString());
  } catch {
    return "";
  }
  const errors = isObject(parsed) && Array.isArray(parsed["errors"]) ? parsed["errors"] : [];
  const words = errors.filter(isObject).map(({ code, message }) => `${String(code)}: ${String(message)}`);
  return words.length === 0 ? "" : `: ${words.join("; ").slice(0, 500)}`;
}
