// An API over a store in memory for tests, and its HTTPS door with keys of its own.
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Registry } from "prom-client";
import type { WatchCacheLimits } from "../api/cache/watch-cache.ts";
import { serveHttps } from "../api/http/serve.ts";
import type { StreamBroker } from "../api/http/stream-broker.ts";
import { kubeconfig } from "../api/pki/kubeconfig.ts";
import { openPki, type Pki } from "../api/pki/pki.ts";
import { type Api, openApi } from "../api/server.ts";
import { MemoryStore } from "../api/store/memory.ts";
import type { Connection } from "../client/kubeconfig.ts";
import { realClock } from "../lib/clock.ts";
import { type Logger, silentLogger } from "../lib/log.ts";
import { realRandom } from "../lib/random.ts";
import { makeTestFolder } from "./folders.ts";

export interface TestApi extends AsyncDisposable {
  readonly api: Api;
}

export interface TestApiOptions {
  readonly log?: Logger;
  readonly cacheLimits?: Partial<WatchCacheLimits>;
}

export async function openTestApi({ log = silentLogger, cacheLimits = {} }: TestApiOptions = {}): Promise<TestApi> {
  const store = new MemoryStore({ clock: realClock });
  const api = await openApi({ store, clock: realClock, random: realRandom(), log, cacheLimits });
  return {
    api,
    [Symbol.asyncDispose]: async () => {
      await api[Symbol.asyncDispose]();
      await store[Symbol.asyncDispose]();
    },
  };
}

export interface TestServer extends AsyncDisposable {
  readonly api: Api;
  readonly pki: Pki;
  readonly url: string;
  readonly connection: Connection;
  readonly kubeconfigPath: string;
  readonly registry: Registry;
}

/** With the admin's kubeconfig in a folder of its own. */
export async function openTestServer(
  options: TestApiOptions & { readonly broker?: StreamBroker } = {},
): Promise<TestServer> {
  const folder = makeTestFolder("api");
  const pki = await openPki({ folder: join(folder, "pki"), hosts: [], clock: realClock });
  const opened = await openTestApi(options);
  const registry = new Registry();
  const door = await serveHttps(opened.api, {
    host: "127.0.0.1",
    port: 0,
    server: pki.server,
    authority: pki.authority,
    tokenKeyPem: pki.tokenKeyPem,
    registry,
    version: "0.0.0",
    ...(options.broker === undefined ? {} : { broker: options.broker }),
  });
  const url = `https://127.0.0.1:${door.port}`;
  const kubeconfigPath = join(folder, "kubeconfig");
  const config = kubeconfig({
    server: url,
    authorityPem: pki.authority.certificatePem,
    user: "admin",
    client: pki.admin,
  });
  await writeFile(kubeconfigPath, config, { mode: 0o600 });
  return {
    api: opened.api,
    pki,
    url,
    registry,
    kubeconfigPath,
    connection: {
      server: url,
      authorityPem: pki.authority.certificatePem,
      certificatePem: pki.admin.certificatePem,
      keyPem: pki.admin.keyPem,
      namespace: "default",
    },
    [Symbol.asyncDispose]: async () => {
      await door[Symbol.asyncDispose]();
      await opened[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
