// Images for the cluster's other nodes, over the agent's own door: the pulling part of the OCI distribution spec below /images/REGISTRY/
// (fetched from outside when need be) and /images-here/REGISTRY/ (only what is on this node).
import type { IncomingMessage, ServerResponse } from "node:http";
import type { TLSSocket } from "node:tls";
import type { ImageDoor } from "./images/image-door.ts";
import { PullError, type PullFailure, type RegistryCredentials } from "./images/images.ts";
import { credentialsHeader, sinceHeader } from "./images/peer-registries.ts";
import { isDigest, parseReference } from "./images/reference.ts";
import { messageOf } from "./pods/start-problem.ts";
import { sendBlob } from "./registry/send-blob.ts";

/** Blobs that are sent at a time; who comes later is asked to come again. */
const blobsMax = 64;
const retryAfterSeconds = 1;

/** Answers requests below /images; false for others. */
export type ImageServer = (request: IncomingMessage, response: ServerResponse) => boolean;

const statuses: Partial<Record<PullFailure, number>> = {
  InvalidImageName: 400,
  NotFound: 404,
  Denied: 403,
  NoMatchingPlatform: 404,
};

export function openImageServer(door: ImageDoor): ImageServer {
  let sending = 0;
  const answer = async (request: IncomingMessage, response: ServerResponse, asked: Asked) => {
    if (asked.what === "manifests") {
      const reference = parseReference(
        `${asked.registry}/${asked.repository}${isDigest(asked.name) ? "@" : ":"}${asked.name}`,
      );
      const given = asked.fetches
        ? await door.fetchManifest(reference, credentialsOf(request))
        : await door.manifest(reference);
      if (given === undefined) return refuse(response, 404, "MANIFEST_UNKNOWN", "this node does not have it");
      response.writeHead(200, {
        "content-type": given.mediaType,
        "content-length": given.bytes.length,
        "docker-content-digest": given.digest,
        [sinceHeader]: given.sinceMs,
      });
      response.end(request.method === "HEAD" ? undefined : given.bytes);
      return;
    }
    const blob = isDigest(asked.name) ? await door.blob(asked.name) : undefined;
    if (blob === undefined) return refuse(response, 404, "BLOB_UNKNOWN", "this node does not have it");
    if (sending >= blobsMax) {
      response.setHeader("retry-after", retryAfterSeconds);
      return refuse(response, 503, "TOOMANYREQUESTS", "this node sends to many others now");
    }
    sending++;
    try {
      await sendBlob(request, response, blob);
    } finally {
      sending--;
    }
  };
  return (request, response) => {
    const path = request.url ?? "";
    if (!/^\/images(-here)?\//.test(path)) return false;
    const asked = parsePath(path);
    if (request.method !== "GET" && request.method !== "HEAD")
      refuse(response, 405, "UNSUPPORTED", "only GET and HEAD");
    else if (!isNode(request)) refuse(response, 403, "DENIED", "images are for the cluster's nodes");
    else if (asked === undefined) refuse(response, 404, "UNSUPPORTED", "there are manifests and blobs");
    else
      answer(request, response, asked).catch((error) => {
        if (response.headersSent) response.destroy();
        else
          refuse(
            response,
            error instanceof PullError ? (statuses[error.failure] ?? 502) : 500,
            "UNKNOWN",
            messageOf(error),
          );
      });
    return true;
  };
}

interface Asked {
  readonly registry: string;
  readonly fetches: boolean;
  readonly repository: string;
  readonly what: "manifests" | "blobs";
  readonly name: string;
}

function parsePath(path: string): Asked | undefined {
  const [, here, registry, repository, what, name] =
    /^\/images(-here)?\/([^/]+)\/v2\/(.+)\/(manifests|blobs)\/([^/]+)$/.exec(path) ?? [];
  if (registry === undefined || repository === undefined || name === undefined) return undefined;
  if (what !== "manifests" && what !== "blobs") return undefined;
  try {
    return { registry: decodeURIComponent(registry), fetches: here === undefined, repository, what, name };
  } catch {
    return undefined;
  }
}

function isNode(request: IncomingMessage): boolean {
  const subject = (request.socket as TLSSocket).getPeerCertificate().subject as { readonly CN?: unknown } | undefined;
  return typeof subject?.CN === "string" && subject.CN.startsWith("system:node:");
}

function credentialsOf(request: IncomingMessage): readonly RegistryCredentials[] {
  const header = request.headers[credentialsHeader];
  if (typeof header !== "string") return [];
  const value: unknown = JSON.parse(Buffer.from(header, "base64").toString());
  if (!Array.isArray(value)) return [];
  return value.flatMap(({ username, password }: Partial<RegistryCredentials>) =>
    typeof username === "string" && typeof password === "string" ? [{ username, password }] : [],
  );
}

function refuse(response: ServerResponse, status: number, code: string, message: string): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify({ errors: [{ code, message }] }));
}
