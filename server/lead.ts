// What one server of a cluster does: hears the nodes, runs the controllers and the scheduler, and answers for the Service `kubernetes`.
import type { Registry } from "prom-client";
import { issueBoundToken, type WantedToken } from "../api/authentication/bound-token.ts";
import { serviceAccountTokens } from "../api/authentication/service-account-token.ts";
import { componentUser, nodeUser } from "../api/authentication/user.ts";
import { advertise } from "../api/bootstrap.ts";
import type { NodeStreams } from "../api/http/stream-broker.ts";
import type { Api } from "../api/server.ts";
import { openNodeServer } from "../api/sessions/grpc-server.ts";
import { openSessions, type Sessions } from "../api/sessions/sessions.ts";
import { inProcessClient } from "../client/in-process.ts";
import { createRecorder } from "../client/recorder.ts";
import { startControllers } from "../controllers/start.ts";
import type { Clock } from "../lib/clock.ts";
import type { Logger } from "../lib/log.ts";
import type { Random } from "../lib/random.ts";
import { createSchedulerMetrics } from "../scheduler/metrics.ts";
import { defaultProfile } from "../scheduler/profile.ts";
import { startScheduler } from "../scheduler/scheduler.ts";
import { controllerMetrics } from "./metrics.ts";

export interface LeadOptions {
  readonly api: Api;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly registry: Registry;
  /** Where agents dial. */
  readonly nodes: Omit<Parameters<typeof openNodeServer>[0], "host" | "log">;
  /** Signs the tokens of service accounts. */
  readonly tokenKeyPem: string;
  /** Where clients find the API. */
  readonly advertise: { readonly addresses: readonly string[]; readonly port: number };
  readonly heartbeatMs: number;
  readonly notReadyAfterMs: number;
  readonly evictAfterMs: number;
  readonly startGraceMs: number;
  readonly clusterCidr: string;
  /** Nodes come from another server: they need longer to find this one. */
  readonly shared: boolean;
}

export interface Leading extends AsyncDisposable {
  readonly sessions: Sessions;
}

/** Nodes try every server in turn, and one whose machine died answers nothing at all. */
const sharedStartGraceMs = 15_000;

export async function startLeading(options: LeadOptions): Promise<Leading> {
  const { api, registry, clock, random, log } = options;
  const base = { clock, random, log };
  const as = (name: string) => inProcessClient({ verbs: api.verbs, user: componentUser(name) });
  await using running = new AsyncDisposableStack();
  // The next term registers its metrics anew.
  const lasting = new Set(registry.getMetricsAsArray().map(({ name }) => name));
  running.defer(() => {
    for (const { name } of registry.getMetricsAsArray()) if (!lasting.has(name)) registry.removeSingleMetric(name);
  });
  const { heartbeatMs, notReadyAfterMs } = options;
  const startGraceMs = options.shared ? Math.max(options.startGraceMs, sharedStartGraceMs) : options.startGraceMs;
  const flags = { heartbeatMs, notReadyAfterMs, startGraceMs };
  const tokens = serviceAccountTokens(options.tokenKeyPem, api.context);
  const issueToken = (node: string, wanted: WantedToken) =>
    issueBoundToken({ cache: api.context.cache, tokens }, nodeUser(node), wanted);
  const sessions = running.use(
    await openSessions({ ...base, client: as("node-sessions"), registry, flags, issueToken }),
  );
  running.use(await openNodeServer({ ...options.nodes, host: sessions, streams: sessions, log }));
  await advertise(api, options.advertise);
  const controllers = as("controllers");
  running.use(
    await startControllers({
      ...base,
      client: controllers,
      recorder: running.use(createRecorder({ ...base, client: controllers, component: "naru-controllers" })),
      evictAfterMs: options.evictAfterMs,
      startGraceMs,
      clusterCidr: options.clusterCidr,
      authorityPem: options.nodes.authorityPem,
      onPass: controllerMetrics(registry),
    }),
  );
  const scheduling = as("scheduler");
  running.use(
    startScheduler({
      ...base,
      client: scheduling,
      recorder: running.use(createRecorder({ ...base, client: scheduling, component: "default-scheduler" })),
      metrics: createSchedulerMetrics(registry),
      profile: defaultProfile,
      schedulerName: "default-scheduler",
    }),
  );
  const all = running.move();
  return { sessions, [Symbol.asyncDispose]: () => all[Symbol.asyncDispose]() };
}

/** The nodes' own streams while this server leads; who stands by asks the one that does. */
export function streamsOf(leading: () => Leading | undefined, others: NodeStreams): NodeStreams {
  return { open: (...request) => (leading()?.sessions ?? others).open(...request) };
}
