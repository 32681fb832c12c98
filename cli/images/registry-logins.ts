// Names and passwords of registries where Docker keeps them: ~/.docker/config.json and its credential helpers, so that one login serves
// both.
import { chmod, mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { getCredentials, runCredentialHelper, serverKey } from "../../node-agent/images/credential-helper.ts";
import type { RegistryCredentials } from "../../node-agent/images/images.ts";
import { registryHost } from "../../node-agent/images/reference.ts";

interface DockerConfig {
  readonly auths?: Readonly<Record<string, { readonly auth?: string }>>;
  readonly credsStore?: string;
  readonly credHelpers?: Readonly<Record<string, string>>;
}

/** By host, for the registries of these images; what a helper cannot give is left out. */
export async function loginsFor(references: readonly string[]): Promise<Readonly<Record<string, RegistryCredentials>>> {
  const config = await readConfig();
  const found: Record<string, RegistryCredentials> = {};
  for (const host of new Set(references.map(hostOf))) {
    const credentials = await findLogin(config, host);
    if (credentials !== undefined) found[host] = credentials;
  }
  return found;
}

/** All that are written in the file itself or named with a helper: for builds, which say only later what they pull. */
export async function allLogins(): Promise<Readonly<Record<string, RegistryCredentials>>> {
  const { auths = {}, credHelpers = {} } = await readConfig();
  return await loginsFor([...Object.keys(auths), ...Object.keys(credHelpers)].map((key) => `${registryHost(key)}/x`));
}

export async function storeLogin(registry: string, credentials: RegistryCredentials): Promise<string> {
  const config = await readConfig();
  const host = registryHost(registry);
  const key = serverKey(host);
  const helper = config.credHelpers?.[host] ?? config.credsStore;
  if (helper !== undefined) {
    const { username, password } = credentials;
    await runCredentialHelper(
      helper,
      "store",
      JSON.stringify({ ServerURL: key, Username: username, Secret: password }),
    );
    await writeConfig({ ...config, auths: { ...config.auths, [key]: {} } });
    return `docker-credential-${helper}`;
  }
  const auth = Buffer.from(`${credentials.username}:${credentials.password}`).toString("base64");
  return await writeConfig({ ...config, auths: { ...config.auths, [key]: { auth } } });
}

/** False when there was none. */
export async function eraseLogin(registry: string): Promise<boolean> {
  const config = await readConfig();
  const host = registryHost(registry);
  const key = serverKey(host);
  const helper = config.credHelpers?.[host] ?? config.credsStore;
  const known = config.auths?.[key] !== undefined;
  if (helper !== undefined) await runCredentialHelper(helper, "erase", key).catch(() => {});
  if (known)
    await writeConfig({
      ...config,
      auths: Object.fromEntries(Object.entries(config.auths ?? {}).filter(([each]) => each !== key)),
    });
  return known;
}

async function findLogin(config: DockerConfig, host: string): Promise<RegistryCredentials | undefined> {
  const helper = config.credHelpers?.[host] ?? config.credsStore;
  if (helper !== undefined) {
    const given = await getCredentials(helper, serverKey(host)).catch(() => undefined);
    if (given !== undefined) return given;
  }
  const entry = Object.entries(config.auths ?? {}).find(([key]) => registryHost(key) === host)?.[1];
  const [, username, password] = /^([^:]*):([\s\S]*)$/.exec(Buffer.from(entry?.auth ?? "", "base64").toString()) ?? [];
  return username === undefined || password === undefined ? undefined : { username, password };
}

function hostOf(reference: string): string {
  const slash = reference.indexOf("/");
  const first = slash < 0 ? "" : reference.slice(0, slash);
  return /[.:]|^localhost$/.test(first) ? registryHost(first) : "docker.io";
}

function configPath(): string {
  return join(process.env["DOCKER_CONFIG"] ?? join(homedir(), ".docker"), "config.json");
}

async function readConfig(): Promise<DockerConfig> {
  const text = await readFile(configPath(), "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return "{}";
    throw error;
  });
  try {
    return JSON.parse(text) as DockerConfig;
  } catch (cause) {
    throw new Error(`${configPath()} is no JSON: correct it, or move it away`, { cause });
  }
}

// Keeps what Docker wrote there; replaced as a whole.
async function writeConfig(config: DockerConfig): Promise<string> {
  const path = configPath();
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await writeFile(`${path}.new`, `${JSON.stringify(config, null, "\t")}\n`, { mode: 0o600 });
  await chmod(`${path}.new`, 0o600);
  await rename(`${path}.new`, path);
  return path;
}
