// Which store a URL names.
import { readFile } from "node:fs/promises";
import type { Clock } from "../../lib/clock.ts";
import type { Logger } from "../../lib/log.ts";
import type { Random } from "../../lib/random.ts";
import { MemoryStore } from "./memory.ts";
import type { Store } from "./store.ts";

export interface OpenStoreOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

const forms = `"sqlite:/path/to/file", "memory:" or "etcd://host:port,host:port?ca=FILE&cert=FILE&key=FILE&username=NAME&passwordFile=FILE"`;

/**
 * Opens "sqlite:/path", "memory:" or "etcd://host:port,host:port". etcd speaks TLS when `ca` names a file; `cert` and `key` are the client's.
 * Throws an Error that says which part of the URL is wrong, or StoreUnavailableError.
 */
export async function openStore(url: string, options: OpenStoreOptions): Promise<Store> {
  if (url === "memory:") return new MemoryStore(options);
  if (url.startsWith("sqlite:")) {
    const path = url.slice("sqlite:".length).replace(/^\/\/(?=\/)/, "");
    if (path === "") throw new Error(`store ${url}: no path; a store is ${forms}`);
    // Only the store that is used is loaded: etcd's client costs 20 MB.
    const { openSqliteStore } = await import("./sqlite.ts");
    return openSqliteStore({ ...options, path });
  }
  if (url.startsWith("etcd://")) {
    const parts = await parseEtcdUrl(url);
    const { openEtcdStore } = await import("./etcd.ts");
    return openEtcdStore({ ...options, ...parts });
  }
  throw new Error(`store ${url}: unknown kind; a store is ${forms}`);
}

const etcdParameters = ["ca", "cert", "key", "username", "passwordFile"];

async function parseEtcdUrl(url: string) {
  const [hostList = "", query = ""] = url.slice("etcd://".length).split("?", 2);
  const hosts = hostList.replace(/\/$/, "").split(",");
  for (const host of hosts) {
    if (!/^(\[[0-9a-fA-F:]+\]|[\w.-]+):\d+$/.test(host)) throw new Error(`store ${url}: "${host}" is not host:port`);
  }
  const parameters = new URLSearchParams(query);
  for (const name of parameters.keys()) {
    if (!etcdParameters.includes(name)) throw new Error(`store ${url}: unknown "${name}"; a store is ${forms}`);
  }
  const file = async (name: string) => {
    const path = parameters.get(name);
    return path === null ? undefined : readFile(path);
  };
  const [ca, cert, key, password] = await Promise.all(["ca", "cert", "key", "passwordFile"].map(file));
  if (ca === undefined && (cert ?? key) !== undefined) throw new Error(`store ${url}: cert and key need ca`);
  const username = parameters.get("username");
  if ((username === null) !== (password === undefined)) throw new Error(`store ${url}: username needs passwordFile`);
  return {
    hosts,
    ...(ca && { tls: { ca, ...(cert && { cert }), ...(key && { key }) } }),
    ...(username !== null && password && { auth: { username, password: password.toString().trimEnd() } }),
  };
}
