// Names and passwords that the node itself has for a registry, behind those that come with a pull.
import { readFile } from "node:fs/promises";
import { getCredentials, serverKey } from "./credential-helper.ts";
import { PullError, type RegistryCredentials } from "./images.ts";
import type { RegistrySettings } from "./registry.ts";

/** Rejects with PullError when they cannot be had. */
export async function ownCredentials(
  host: string,
  { login, credentialHelper }: RegistrySettings,
): Promise<readonly RegistryCredentials[]> {
  try {
    const password = login && (await readFile(login.passwordFile, "utf8")).replace(/\r?\n$/, "");
    const helped = credentialHelper === undefined ? undefined : await getCredentials(credentialHelper, serverKey(host));
    return [
      ...(login === undefined || password === undefined ? [] : [{ username: login.username, password }]),
      ...(helped === undefined ? [] : [helped]),
    ];
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new PullError("Denied", `credentials for ${host} cannot be had: ${why}`, { cause });
  }
}
