// A user's name and password as docker's clients hand them on: JSON in base64 in a header. Pure.
import type { RegistryCredentials } from "../../images/images.ts";
import { JsonObject, parseJson } from "../http/json.ts";
import { badRequest } from "../http/problem.ts";

/** None when the header is absent or empty. */
export function parseAuthHeader(header: string | readonly string[] | undefined): readonly RegistryCredentials[] {
  if (typeof header !== "string" || header === "") return [];
  const text = Buffer.from(header, "base64url").toString("utf8").trim();
  if (text === "" || text === "{}") return [];
  return credentialsOf(new JsonObject(parseJson(text), "X-Registry-Auth"));
}

export function credentialsOf(json: JsonObject): readonly RegistryCredentials[] {
  if (json.text("identitytoken") !== "" || json.text("registrytoken") !== "")
    throw badRequest("identity tokens are not supported: log in with a name and a password or an access token");
  const [username = "", ...rest] = Buffer.from(json.text("auth"), "base64").toString("utf8").split(":");
  const name = json.text("username") || username;
  const password = json.text("password") || rest.join(":");
  return name === "" ? [] : [{ username: name, password }];
}
