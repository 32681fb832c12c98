// Reads a kubeconfig: which server, whom to trust, as whom to come, which namespace is meant.
import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { parse } from "yaml";

/** What is needed to talk to a server. */
export interface Connection {
  /** "https://127.0.0.1:6443" */
  readonly server: string;
  readonly authorityPem?: string;
  readonly certificatePem?: string;
  readonly keyPem?: string;
  readonly token?: string;
  /** Name in the server's certificate when it differs from the address. */
  readonly serverName?: string;
  readonly insecure?: boolean;
  readonly namespace: string;
}

interface Named<K extends string> {
  readonly name?: string;
  readonly [key: string]: unknown;
  readonly kind?: K;
}

type Fields = Readonly<Record<string, unknown>>;

/** The named context, or the current one. Rejects with an Error that says what the file lacks. */
export async function readKubeconfig(path: string, contextName?: string): Promise<Connection> {
  const text = await readFile(path, "utf8").catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === "ENOENT") throw new Error(`kubeconfig ${path}: there is no such file`);
    throw new Error(`read kubeconfig ${path}`, { cause });
  });
  let config: unknown;
  try {
    config = parse(text);
  } catch (cause) {
    throw new Error(`kubeconfig ${path} is not YAML`, { cause });
  }
  if (typeof config !== "object" || config === null) throw new Error(`${path} is no kubeconfig`);
  return connectionOf(config as Fields, { path, contextName });
}

interface Place {
  readonly path: string;
  readonly contextName: string | undefined;
}

async function connectionOf(config: Fields, { path, contextName }: Place): Promise<Connection> {
  const wanted = contextName ?? text(config["current-context"]);
  if (wanted === undefined) throw new Error(`kubeconfig ${path} names no current-context`);
  const context = entry(config, "contexts", "context", wanted, path);
  const cluster = entry(config, "clusters", "cluster", text(context["cluster"]), path);
  const user = entry(config, "users", "user", text(context["user"]), path);
  const server = text(cluster["server"]);
  if (server === undefined)
    throw new Error(`kubeconfig ${path}: the cluster ${text(context["cluster"])} has no server`);
  const [authorityPem, certificatePem, keyPem] = await Promise.all([
    pem(cluster, "certificate-authority", path),
    pem(user, "client-certificate", path),
    pem(user, "client-key", path),
  ]);
  return {
    server,
    namespace: text(context["namespace"]) ?? "default",
    ...present("authorityPem", authorityPem),
    ...present("certificatePem", certificatePem),
    ...present("keyPem", keyPem),
    ...present("token", text(user["token"])),
    ...present("serverName", text(cluster["tls-server-name"])),
    ...(cluster["insecure-skip-tls-verify"] === true ? { insecure: true } : {}),
  };
}

function entry(config: Fields, list: string, field: string, name: string | undefined, path: string): Fields {
  const entries = config[list];
  const found = Array.isArray(entries) ? (entries as Named<string>[]).find((one) => one?.name === name) : undefined;
  const value = found?.[field];
  if (typeof value !== "object" || value === null) {
    throw new Error(`kubeconfig ${path} has no ${field} ${JSON.stringify(name ?? "")}`);
  }
  return value as Fields;
}

/** Inline data, or a file named relative to the kubeconfig. */
async function pem(fields: Fields, name: string, path: string): Promise<string | undefined> {
  const data = text(fields[`${name}-data`]);
  if (data !== undefined) return Buffer.from(data, "base64").toString();
  const file = text(fields[name]);
  if (file === undefined) return undefined;
  return readFile(resolve(dirname(path), file), "utf8").catch((cause: unknown) => {
    throw new Error(`kubeconfig ${path}: read ${name} ${file}`, { cause });
  });
}

function present<K extends string>(name: K, value: string | undefined): { readonly [P in K]?: string } {
  return value === undefined ? {} : ({ [name]: value } as { readonly [P in K]: string });
}

function text(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}
