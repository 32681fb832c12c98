// What clients fetch: manifests and blobs of the cluster's images, and lists of their names.
import type { ServerResponse } from "node:http";
import type { ImageDoor } from "../images/image-door.ts";
import { imageIndexType } from "../images/manifest.ts";
import type { PushedImages } from "../images/pushed-images.ts";
import type { PushedManifest } from "../images/records.ts";
import { formatReference, type Reference } from "../images/reference.ts";
import { RegistryError } from "./errors.ts";
import type { Exchange } from "./push.ts";
import type { Route } from "./routes.ts";
import { sendBlob } from "./send-blob.ts";

export interface PullContext {
  readonly pushed: PushedImages;
  readonly door: ImageDoor;
  /** Fetches an image from the node that has it. Rejects with PullError. */
  readonly pull: (reference: string) => Promise<unknown>;
  /** Of the nodes that answer. */
  readonly referrersOfOthers: (repository: string, digest: string) => Promise<readonly PushedManifest[]>;
  /** Tags by repository, of all nodes that answer. */
  readonly tagsOfAll: () => Promise<ReadonlyMap<string, ReadonlySet<string>>>;
}

type Of<Type extends Route["type"]> = Extract<Route, { readonly type: Type }>;

/** Blobs that are sent at a time; who comes later is asked to come again. */
const blobsMax = 64;
const pageMax = 1000;
let sending = 0;

export async function sendManifest(
  context: PullContext,
  { request, response }: Exchange,
  { reference }: Of<"manifest">,
): Promise<void> {
  const { bytes, digest, mediaType, sinceMs } = await findManifest(context, reference);
  response.writeHead(200, {
    "content-type": mediaType,
    "content-length": bytes.length,
    "docker-content-digest": digest,
    "last-modified": new Date(sinceMs).toUTCString(),
  });
  response.end(request.method === "HEAD" ? undefined : bytes);
}

export async function sendStoredBlob(
  { pushed, door }: PullContext,
  { request, response }: Exchange,
  { digest }: Of<"blob" | "referrers">,
): Promise<void> {
  const blob = (await pushed.blobBytes(digest)) === undefined ? undefined : await door.blob(digest);
  if (blob === undefined) throw new RegistryError(404, "BLOB_UNKNOWN", `there is no blob ${digest}`);
  if (sending >= blobsMax) throw new RegistryError(503, "TOOMANYREQUESTS", "this node sends to many others now");
  sending++;
  try {
    response.setHeader("docker-content-digest", digest);
    await sendBlob(request, response, blob);
  } finally {
    sending--;
  }
}

export async function sendTags(context: PullContext, exchange: Exchange, { repository }: Of<"tags" | "uploads">) {
  const tags = (await context.tagsOfAll()).get(repository);
  if (tags === undefined) throw new RegistryError(404, "NAME_UNKNOWN", `there is no repository ${repository}`);
  sendPage(exchange, [...tags], (page) => ({ name: repository, tags: page }));
}

export async function sendCatalog(context: PullContext, exchange: Exchange): Promise<void> {
  sendPage(exchange, [...(await context.tagsOfAll()).keys()], (repositories) => ({ repositories }));
}

/** Of all nodes: what was said of an image may have been pushed while its home was another. */
export async function sendReferrers(
  { pushed, referrersOfOthers }: PullContext,
  { response, query }: Exchange,
  { repository, digest }: Of<"blob" | "referrers">,
): Promise<void> {
  const wanted = query.get("artifactType");
  const others = await referrersOfOthers(repository, digest);
  const found = [...pushed.referrers(repository, digest), ...others];
  const manifests = [...new Map(found.map((each) => [each.digest, each])).values()]
    .filter(({ artifactType }) => wanted === null || artifactType === wanted)
    .map(({ mediaType, digest: own, sizeBytes, artifactType, annotations }) => ({
      ...{ mediaType, digest: own, size: sizeBytes },
      ...(artifactType === undefined ? {} : { artifactType }),
      ...(annotations === undefined ? {} : { annotations }),
    }));
  const body = { schemaVersion: 2, mediaType: imageIndexType, manifests };
  if (wanted !== null) response.setHeader("oci-filters-applied", "artifactType");
  sendJson(response, body, imageIndexType);
}

async function findManifest({ door, pull }: PullContext, reference: Reference) {
  const here = await door.manifest(reference);
  if (here !== undefined && reference.digest !== undefined) return here;
  // It may be on another node, where it was built or loaded, or means something newer there.
  const text = formatReference(reference);
  await pull(text).catch((error) => {
    if (here === undefined) throw error;
  });
  const found = (await door.manifest(reference)) ?? here;
  if (found === undefined) throw new RegistryError(404, "MANIFEST_UNKNOWN", `no node of the cluster has ${text}`);
  return found;
}

function sendPage({ request, response, query }: Exchange, all: readonly string[], body: (page: string[]) => object) {
  const last = query.get("last") ?? "";
  const count = Math.min(Number(query.get("n") ?? pageMax), pageMax);
  if (!Number.isInteger(count) || count < 0)
    throw new RegistryError(400, "PAGINATION_NUMBER_INVALID", "n is a whole number");
  const rest = [...all].sort().filter((name) => name > last);
  const page = rest.slice(0, count);
  const path = (request.url ?? "").split("?")[0];
  if (page.length < rest.length && page.length > 0)
    response.setHeader(
      "link",
      `<${path}?${new URLSearchParams({ n: `${count}`, last: page.at(-1) ?? "" })}>; rel="next"`,
    );
  sendJson(response, body(page), "application/json");
}

export function sendJson(response: ServerResponse, body: object, type: string): void {
  const text = JSON.stringify(body);
  response.writeHead(200, { "content-type": type, "content-length": Buffer.byteLength(text) });
  response.end(text);
}
