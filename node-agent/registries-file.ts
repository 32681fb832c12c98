// How a node deals with each registry, from a YAML file: mirrors, authorities, credentials, whose signatures are asked for.
import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { parseDocument } from "yaml";
import type { RegistrySettings } from "./images/registry.ts";

export interface RegistriesFile {
  /** By host, as in image names. */
  readonly registries: Readonly<Record<string, RegistrySettings>>;
}

const shape: Readonly<Record<string, "string" | "boolean" | "strings">> = {
  mirrors: "strings",
  insecure: "boolean",
  caFile: "string",
  username: "string",
  passwordFile: "string",
  credentialHelper: "string",
  signatureKeys: "strings",
};

/** Rejects with the file, the line or the field that is wrong. Files that it names are found from its own folder. */
export async function readRegistriesFile(path: string): Promise<RegistriesFile> {
  const text = await readFile(path, "utf8").catch((cause) => {
    throw new Error(`${path} cannot be read`, { cause });
  });
  const document = parseDocument(text);
  const [problem] = document.errors;
  if (problem !== undefined) throw new Error(`${path}: ${problem.message}`);
  const body: unknown = document.toJS() ?? {};
  const entries = Object.entries(objectAt(objectAt(body, path)["registries"] ?? {}, `${path}: registries`));
  const registries = entries.map(
    ([host, value]) => [host, settingsOf(value, { where: `${path}: registries.${host}`, path })] as const,
  );
  return { registries: Object.fromEntries(registries) };
}

function settingsOf(
  value: unknown,
  { where, path }: { readonly where: string; readonly path: string },
): RegistrySettings {
  const fields = objectAt(value ?? {}, where);
  for (const [key, given] of Object.entries(fields)) {
    const wanted = shape[key];
    if (wanted === undefined)
      throw new Error(`${where}.${key} is not known; there are ${Object.keys(shape).join(", ")}`);
    const fits =
      wanted === "strings"
        ? Array.isArray(given) && given.every((item) => typeof item === "string")
        : typeof given === wanted;
    if (!fits) throw new Error(`${where}.${key} must be ${wanted === "strings" ? "a list of strings" : `a ${wanted}`}`);
  }
  const text = (key: string) => fields[key] as string | undefined;
  const file = (name: string) => resolve(dirname(path), name);
  const [username, passwordFile, helper, caFile] = [
    text("username"),
    text("passwordFile"),
    text("credentialHelper"),
    text("caFile"),
  ];
  if ((username === undefined) !== (passwordFile === undefined))
    throw new Error(`${where}: username and passwordFile belong together`);
  const mirrors = fields["mirrors"] as readonly string[] | undefined;
  const keys = fields["signatureKeys"] as readonly string[] | undefined;
  return {
    ...(fields["insecure"] === true ? { insecure: true } : {}),
    ...(mirrors === undefined ? {} : { mirror: mirrors }),
    ...(caFile === undefined ? {} : { caFile: file(caFile) }),
    ...(helper === undefined ? {} : { credentialHelper: helper }),
    ...(username === undefined || passwordFile === undefined
      ? {}
      : { login: { username, passwordFile: file(passwordFile) } }),
    ...(keys === undefined ? {} : { signatureKeys: keys.map(file) }),
  };
}

function objectAt(value: unknown, where: string): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new Error(`${where} must be an object`);
  return value as Readonly<Record<string, unknown>>;
}
