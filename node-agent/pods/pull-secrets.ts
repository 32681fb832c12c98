// Registry credentials out of imagePullSecrets: kubernetes.io/dockerconfigjson and the older dockercfg. Pure.
import type { Secret } from "../../api/kinds/generated/types.ts";
import type { RegistryCredentials } from "../images/images.ts";
import { secretBytes } from "./container-env.ts";

/** Those that are for `repository` ("docker.io/library/nginx"), the most specific first. What cannot be read is left out. */
export function pullCredentials(secrets: readonly Secret[], repository: string): readonly RegistryCredentials[] {
  const found: { readonly place: string; readonly credentials: RegistryCredentials }[] = [];
  for (const secret of secrets) {
    for (const [server, entry] of Object.entries(authsOf(secret))) {
      const place = placeOf(server);
      const credentials = credentialsOf(entry);
      if (credentials !== undefined && matches(place, repository)) found.push({ place, credentials });
    }
  }
  return found.sort((a, b) => b.place.length - a.place.length).map(({ credentials }) => credentials);
}

function authsOf(secret: Secret): Readonly<Record<string, unknown>> {
  const config = secretBytes(secret, ".dockerconfigjson");
  const parsed = parseObject((config ?? secretBytes(secret, ".dockercfg"))?.toString("utf8") ?? "{}");
  return config === undefined ? parsed : asObject(parsed["auths"]);
}

function credentialsOf(entry: unknown): RegistryCredentials | undefined {
  const { username, password, auth } = asObject(entry);
  if (typeof username === "string" && typeof password === "string" && username !== "") return { username, password };
  if (typeof auth !== "string") return undefined;
  const [, user, secret] = /^([^:]*):(.*)$/s.exec(Buffer.from(auth, "base64").toString("utf8")) ?? [];
  return user === undefined || secret === undefined ? undefined : { username: user, password: secret };
}

// "https://index.docker.io/v1/" -> "docker.io", "registry.example.com/team" stays.
function placeOf(server: string): string {
  const bare = server.replace(/^https?:\/\//, "").replace(/\/(v1|v2)?\/?$/, "");
  return /^(index|registry-1)\.docker\.io$/.test(bare) ? "docker.io" : bare;
}

function matches(place: string, repository: string): boolean {
  if (!place.startsWith("*.")) return repository === place || repository.startsWith(`${place}/`);
  const host = repository.split("/")[0] ?? "";
  const suffix = place.slice(1);
  return host.endsWith(suffix) && !host.slice(0, -suffix.length).includes(".");
}

function parseObject(text: string): Readonly<Record<string, unknown>> {
  try {
    return asObject(JSON.parse(text));
  } catch {
    return {};
  }
}

function asObject(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
}
