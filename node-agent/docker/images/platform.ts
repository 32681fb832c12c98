// Platforms that clients ask for: of each image there is the one that this node has. Pure.
import type { Platform } from "../../images/library.ts";
import { JsonObject, parseJson } from "../http/json.ts";
import { badRequest, notFound } from "../http/problem.ts";
import type { Query } from "../http/query.ts";

/** Refuses when the image is not of the platform that the query asks for, as JSON or as "linux/arm64". */
export function checkPlatform(query: Query, name: string, own: Platform): void {
  for (const text of query.texts("platform").filter((text) => text !== "")) {
    const wanted = parsePlatform(text);
    const fits =
      wanted.os === own.os &&
      (wanted.architecture === "" || wanted.architecture === own.architecture) &&
      (wanted.variant === "" || own.variant === undefined || wanted.variant === own.variant);
    if (!fits)
      throw notFound(
        `image with reference ${name} was found but its platform (${own.os}/${own.architecture}) does not match the specified platform (${[wanted.os, wanted.architecture, wanted.variant].filter((part) => part !== "").join("/")})`,
      );
  }
}

interface WantedPlatform {
  readonly os: string;
  readonly architecture: string;
  readonly variant: string;
}

function parsePlatform(text: string): WantedPlatform {
  if (text.startsWith("{")) {
    const json = new JsonObject(parseJson(text), "platform");
    return { os: json.text("os"), architecture: json.text("architecture"), variant: json.text("variant") };
  }
  const [os = "", architecture = "", variant = "", ...rest] = text.toLowerCase().split("/");
  if (rest.length > 0 || !/^[a-z0-9_.-]+$/.test(os))
    throw badRequest(`platform ${JSON.stringify(text)}: expected such as linux/amd64`);
  return { os, architecture: architecture === "x86_64" ? "amd64" : architecture, variant };
}
