// Paths of the OCI distribution spec (1.1), read once. Pure.
import { clusterRegistry, isDigest, parseReference, type Reference } from "../images/reference.ts";
import { RegistryError } from "./errors.ts";

export type Route =
  | { readonly type: "base" | "catalog" }
  | { readonly type: "tags" | "uploads"; readonly repository: string }
  | { readonly type: "manifest"; readonly repository: string; readonly reference: Reference }
  | { readonly type: "blob" | "referrers"; readonly repository: string; readonly digest: string }
  | { readonly type: "upload"; readonly repository: string; readonly id: string };

export const methodsOf: Readonly<Record<Route["type"], readonly string[]>> = {
  base: ["GET", "HEAD"],
  catalog: ["GET"],
  tags: ["GET"],
  referrers: ["GET"],
  manifest: ["GET", "HEAD", "PUT", "DELETE"],
  blob: ["GET", "HEAD"],
  uploads: ["POST"],
  upload: ["GET", "PATCH", "PUT", "DELETE"],
};

/** Throws RegistryError for what the registry has no answer to. */
export function readRoute(path: string): Route {
  if (path === "/v2" || path === "/v2/") return { type: "base" };
  if (path === "/v2/_catalog") return { type: "catalog" };
  const [, repository = "", what = "", name = ""] =
    /^\/v2\/(.+?)\/(manifests|blobs\/uploads|blobs|referrers|tags)\/([^/]*)$/.exec(path) ?? [];
  if (repository === "") throw new RegistryError(404, "UNSUPPORTED", `there is nothing at ${path.slice(0, 300)}`);
  checkName(`${clusterRegistry}/${repository}:latest`);
  switch (what) {
    case "manifests": {
      const text = `${clusterRegistry}/${repository}${name.includes(":") ? "@" : ":"}${decode(name)}`;
      return { type: "manifest", repository, reference: checkName(text) };
    }
    case "blobs/uploads":
      return name === "" ? { type: "uploads", repository } : { type: "upload", repository, id: name };
    case "tags":
      if (name === "list") return { type: "tags", repository };
      throw new RegistryError(404, "UNSUPPORTED", "tags has only list below it");
    default:
      return { type: what === "blobs" ? "blob" : "referrers", repository, digest: checkDigest(decode(name)) };
  }
}

/** Throws RegistryError for other digests than sha256. */
export function checkDigest(text: string): string {
  if (isDigest(text)) return text;
  throw new RegistryError(
    400,
    "DIGEST_INVALID",
    `${JSON.stringify(text.slice(0, 100))} is no digest that is taken here: sha256: and 64 hexadecimal digits`,
  );
}

function checkName(text: string): Reference {
  try {
    return parseReference(text);
  } catch (cause) {
    throw new RegistryError(400, "NAME_INVALID", cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (cause) {
    throw new RegistryError(400, "NAME_INVALID", "the path is not encoded as it should be", { cause });
  }
}
