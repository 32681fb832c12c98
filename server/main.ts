// The server's composition: the only place that makes its real store, clock, chance, sockets and files.
import { mkdir } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { Registry } from "prom-client";
import { componentUser } from "../api/authentication/user.ts";
import { serveHttps } from "../api/http/serve.ts";
import { leases } from "../api/kinds/generated/resources.ts";
import { kubeconfig } from "../api/pki/kubeconfig.ts";
import { openPki, writeSecret } from "../api/pki/pki.ts";
import { openApi } from "../api/server.ts";
import { relayStreams } from "../api/sessions/relay.ts";
import { openStore } from "../api/store/open.ts";
import { openStreamBroker } from "../api/streams/stream-broker.ts";
import { inProcessClient } from "../client/in-process.ts";
import { realClock } from "../lib/clock.ts";
import { collectAll, collectWhenQuiet, cpuMsOfProcess, heapBytesOfProcess } from "../lib/idle-memory.ts";
import type { Logger } from "../lib/log.ts";
import { realRandom } from "../lib/random.ts";
import { type Leading, startLeading, streamsOf } from "./lead.ts";
import { identityOf, leaderAddress, leaderLease, runAsLeader } from "./leader.ts";
import { measuredStore } from "./measured-store.ts";
import { processMetrics } from "./metrics.ts";
import { version } from "./version.ts";

export interface ServerOptions {
  readonly dataDir: string;
  /** "sqlite:/path", "etcd://host:port,…" */
  readonly storeUrl: string;
  readonly address: string;
  /** As clients and nodes reach it. */
  readonly advertise: string;
  /** HTTPS; 0: any free one. */
  readonly port: number;
  /** gRPC for agents. */
  readonly nodePort: number;
  /** Further names for the certificate. */
  readonly hosts: readonly string[];
  readonly clusterCidr: string;
  readonly heartbeatMs: number;
  readonly notReadyAfterMs: number;
  readonly evictAfterMs: number;
  /** For nodes to dial in once the server has started. */
  readonly startGraceMs: number;
  readonly logLevel: string;
}

const renewMs = 24 * 3600 * 1000;

const stopMsMax = 10_000;

/** Runs until the signal is aborted. Prints "ready" facts as lines on standard output. */
export async function runServer(options: ServerOptions, signal: AbortSignal): Promise<void> {
  const log: Logger = pino({ level: options.logLevel, base: { component: "server" } }, pino.destination(2));
  const base = { clock: realClock, random: realRandom(), log };
  const { clock } = base;
  await mkdir(options.dataDir, { recursive: true, mode: 0o700 });
  const pkiOptions = {
    folder: join(options.dataDir, "pki"),
    hosts: [options.advertise, ...options.hosts],
    clock,
  };
  const pki = await openPki(pkiOptions);
  await using stack = new AsyncDisposableStack();
  const registry = new Registry();
  processMetrics(registry, options.dataDir);
  const store = stack.use(measuredStore(await openStore(options.storeUrl, base), registry, clock));
  const shared = options.storeUrl.startsWith("etcd:");
  const api = stack.use(await openApi({ ...base, store, sharedStore: shared }));
  let leading: Leading | undefined;
  // Our port is ours alone, so nobody who is alive goes by the same.
  const identity = () => identityOf(hostname(), options.advertise, door.port);
  const { keyPem, certificatePem } = pki.server;
  const throughLeader = relayStreams({
    leader: () => leaderAddress(api.context.cache.get(leases, leaderLease)?.object, identity(), options.nodePort),
    credentials: () => ({ authorityPem: pki.authority.certificatePem, ...pki.admin }),
  });
  const door = stack.use(
    await serveHttps(api, {
      host: options.address,
      port: options.port,
      server: pki.server,
      authority: pki.authority,
      tokenKeyPem: pki.tokenKeyPem,
      registry,
      version,
      broker: openStreamBroker({ streams: streamsOf(() => leading, throughLeader), log }),
    }),
  );
  const renewal = setInterval(() => {
    openPki(pkiOptions).then(
      ({ server }) => door.renew(server),
      (error: unknown) => log.error({ error }, "certificates not renewed"),
    );
  }, renewMs);
  stack.defer(() => clearInterval(renewal));

  stack.use(collectWhenQuiet({ clock, cpuMs: cpuMsOfProcess, heapBytes: heapBytesOfProcess, collect: collectAll }));
  const client = inProcessClient({ verbs: api.verbs, user: componentUser("leader-election") });
  stack.use(
    await runAsLeader(
      {
        ...base,
        client,
        shared,
        identity: identity(),
      },
      async () => {
        const begun = await startLeading({
          ...base,
          ...options,
          api,
          registry,
          shared,
          tokenKeyPem: pki.tokenKeyPem,
          nodes: {
            address: options.address,
            port: options.nodePort,
            authorityPem: pki.authority.certificatePem,
            certificatePem,
            keyPem,
          },
          advertise: { addresses: [options.advertise], port: door.port },
        });
        leading = begun;
        return {
          [Symbol.asyncDispose]: () => {
            leading = undefined;
            return begun[Symbol.asyncDispose]();
          },
        };
      },
    ),
  );

  const url = `https://${options.advertise}:${door.port}`;
  const kubeconfigPath = join(options.dataDir, "kubeconfig");
  await writeSecret(
    kubeconfigPath,
    kubeconfig({ server: url, authorityPem: pki.authority.certificatePem, user: "admin", client: pki.admin }),
  );
  console.log(`server: ${url}\nkubeconfig: ${kubeconfigPath}\nserver ready`);
  if (!signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
  log.info({}, "server stops");
  // Whatever hangs, a store that does not answer among it, must not keep the machine: what was acknowledged is durable without this.
  setTimeout(() => {
    log.error({ stopMsMax }, "server did not stop in time and ends as it is");
    process.exit(1);
  }, stopMsMax).unref();
}
