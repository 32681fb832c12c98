// The server's composition: the only place that makes its real store, clock, chance, sockets and files.
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { pino } from "pino";
import { Registry } from "prom-client";
import { componentUser } from "../api/authentication/user.ts";
import { advertise } from "../api/bootstrap.ts";
import { serveHttps } from "../api/http/serve.ts";
import { kubeconfig } from "../api/pki/kubeconfig.ts";
import { openPki, writeSecret } from "../api/pki/pki.ts";
import { openApi } from "../api/server.ts";
import { openNodeServer } from "../api/sessions/grpc-server.ts";
import { openSessions } from "../api/sessions/sessions.ts";
import { openStore } from "../api/store/open.ts";
import { openStreamBroker } from "../api/streams/stream-broker.ts";
import { inProcessClient } from "../client/in-process.ts";
import { createRecorder } from "../client/recorder.ts";
import { startControllers } from "../controllers/start.ts";
import { realClock } from "../lib/clock.ts";
import type { Logger } from "../lib/log.ts";
import { realRandom } from "../lib/random.ts";
import { createSchedulerMetrics } from "../scheduler/metrics.ts";
import { defaultProfile } from "../scheduler/profile.ts";
import { startScheduler } from "../scheduler/scheduler.ts";
import { runAsLeader } from "./leader.ts";
import { measuredStore } from "./measured-store.ts";
import { controllerMetrics, processMetrics } from "./metrics.ts";
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
  readonly logLevel: string;
}

const renewMs = 24 * 3600 * 1000;

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
  const sharedStore = options.storeUrl.startsWith("etcd:");
  const api = stack.use(await openApi({ ...base, store, sharedStore }));
  const as = (name: string) => inProcessClient({ verbs: api.verbs, user: componentUser(name) });
  const sessions = stack.use(
    await openSessions({
      ...base,
      client: as("node-sessions"),
      registry,
      flags: { heartbeatMs: options.heartbeatMs, notReadyAfterMs: options.notReadyAfterMs },
    }),
  );
  const tls = {
    authorityPem: pki.authority.certificatePem,
    certificatePem: pki.server.certificatePem,
    keyPem: pki.server.keyPem,
  };
  stack.use(await openNodeServer({ host: sessions, address: options.address, port: options.nodePort, ...tls, log }));
  const door = stack.use(
    await serveHttps(api, {
      host: options.address,
      port: options.port,
      server: pki.server,
      authority: pki.authority,
      registry,
      version,
      broker: openStreamBroker({ streams: sessions, log }),
    }),
  );

  await advertise(api, { addresses: [options.advertise], port: door.port });
  const renewal = setInterval(() => {
    openPki(pkiOptions).then(
      ({ server }) => door.renew(server),
      (error: unknown) => log.error({ error }, "certificates not renewed"),
    );
  }, renewMs);
  stack.defer(() => clearInterval(renewal));

  // Controllers and scheduler act once in a cluster, however many servers share its store.
  stack.use(
    await runAsLeader({ ...base, client: as("leader-election"), shared: sharedStore }, async () => {
      const running = new AsyncDisposableStack();
      const onPass = controllerMetrics(registry);
      const controllers = as("controllers");
      const controllerRecorder = running.use(
        createRecorder({ ...base, client: controllers, component: "naru-controllers" }),
      );
      running.use(
        await startControllers({
          ...base,
          client: controllers,
          recorder: controllerRecorder,
          evictAfterMs: options.evictAfterMs,
          clusterCidr: options.clusterCidr,
          onPass,
        }),
      );
      const scheduling = as("scheduler");
      const recorder = running.use(createRecorder({ ...base, client: scheduling, component: "default-scheduler" }));
      const metrics = createSchedulerMetrics(registry);
      running.use(
        startScheduler({
          ...base,
          client: scheduling,
          recorder,
          metrics,
          profile: defaultProfile,
          schedulerName: "default-scheduler",
        }),
      );
      return running;
    }),
  );

  const url = `https://${options.advertise}:${door.port}`;
  const kubeconfigPath = join(options.dataDir, "kubeconfig");
  await writeSecret(
    kubeconfigPath,
    kubeconfig({ server: url, authorityPem: tls.authorityPem, user: "admin", client: pki.admin }),
  );
  console.log(`server: ${url}\nkubeconfig: ${kubeconfigPath}\nserver ready`);
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
  log.info({}, "server stops");
}
