// The server's end of all node sessions: nodes dial in, are heard or marked, get what they should have, and report what they do.
import type { Registry } from "prom-client";
import type { Client } from "../../client/client.ts";
import type { Clock, Timer } from "../../lib/clock.ts";
import type { Logger } from "../../lib/log.ts";
import { fraction, type Random, uuid } from "../../lib/random.ts";
import type { SessionHost } from "../../proto/transport.ts";
import type { NodeStreams } from "../http/stream-broker.ts";
import {
  configmaps,
  endpointslices,
  nodes,
  persistentvolumeclaims,
  persistentvolumes,
  pods,
  runtimeclasses,
  secrets,
  services,
} from "../kinds/generated/resources.ts";
import type { Node, Pod } from "../kinds/generated/types.ts";
import { type KubeObject, keyOf, type Resource } from "../kinds/resource.ts";
import { ApiError } from "../kinds/status.ts";
import { openBroker } from "./broker.ts";
import { Desired } from "./desired.ts";
import { openEventReports } from "./event-reports.ts";
import { follow } from "./follow.ts";
import { openLiveness } from "./liveness.ts";
import { sessionMetrics } from "./metrics.ts";
import { openMirrorPods } from "./mirror-pods.ts";
import { defaultFeedLimits, type FeedLimits, NodeFeed } from "./node-feed.ts";
import { isReady, type NodeWanted, sessionAnnotation } from "./node-object.ts";
import { acceptSession, type NodeState, type SessionContext, sendAssignments } from "./node-session.ts";
import { openNodeWriter } from "./node-writer.ts";
import { openPodReports } from "./pod-reports.ts";
import type { NodeResource } from "./projection.ts";

export interface SessionFlags {
  readonly heartbeatMs: number;
  /** Silence after which a node's Ready becomes Unknown. */
  readonly notReadyAfterMs: number;
  /** After the server's start, nodes that were Ready have so long to dial in. */
  readonly startGraceMs: number;
  readonly leaseRenewMs: number;
  /** Changes within it travel together; one that comes after a quiet moment goes at once. */
  readonly flushMs: number;
  /** What a goodbye may ask for. */
  readonly goodbyeMsMax: number;
  /** A silent connection is closed then, and what an absent node was sent is forgotten. */
  readonly silentCloseMs: number;
  readonly forgetAfterMs: number;
  readonly feed: FeedLimits;
}

const defaultSessionFlags: SessionFlags = {
  heartbeatMs: 200,
  notReadyAfterMs: 1000,
  startGraceMs: 3000,
  leaseRenewMs: 10_000,
  flushMs: 1,
  goodbyeMsMax: 600_000,
  silentCloseMs: 10_000,
  forgetAfterMs: 600_000,
  feed: defaultFeedLimits,
};

export interface SessionsOptions {
  readonly client: Client;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly flags?: Partial<SessionFlags>;
  readonly registry?: Registry;
  /** For pods of the node; rejects with ApiError. Absent: there are none. */
  readonly issueToken?: SessionContext["issueToken"];
}

export interface Sessions extends SessionHost, NodeStreams, AsyncDisposable {
  /** Nodes whose session is up. */
  readonly connected: readonly string[];
}

const followed: readonly (readonly [NodeResource, Resource])[] = [
  ["nodes", nodes],
  ["configmaps", configmaps],
  ["secrets", secrets],
  ["persistentvolumes", persistentvolumes],
  ["persistentvolumeclaims", persistentvolumeclaims],
  ["services", services],
  ["endpointslices", endpointslices],
  ["runtimeclasses", runtimeclasses],
  ["pods", pods],
];

/** Resolves once everything that nodes are sent has been read; agents are accepted from then on. */
export async function openSessions(options: SessionsOptions): Promise<Sessions> {
  const { client, clock, random, log } = options;
  const flags = { ...defaultSessionFlags, ...options.flags };
  const epoch = uuid(random);
  const states = new Map<string, NodeState>();
  const closing = new AbortController();
  const leaseTimers = new Map<string, Timer>();
  const unsent = new Set<NodeState>();
  let flushTimer: Timer | undefined;
  let flushedMs = Number.NEGATIVE_INFINITY;
  let sessionCount = 0;

  // Timers that nobody waits for; they must not outlive the sessions.
  const timers = new Set<Timer>();
  const later = (delayMs: number, run: () => void) => {
    if (closing.signal.aborted) return;
    const timer = clock.after(delayMs, () => {
      timers.delete(timer);
      run();
    });
    timers.add(timer);
  };

  const schedule = (state: NodeState) => {
    if (state.link === undefined) return;
    unsent.add(state);
    flushTimer ??= flushSoon();
  };
  const flushSoon = (): Timer => {
    const waitMs = flushedMs + flags.flushMs - clock.monotonicMs();
    if (waitMs > 0) return clock.after(waitMs, flush);
    // What belongs to the same change, such as a pod's Secrets, is marked in this turn.
    queueMicrotask(flush);
    return { cancel: () => unsent.clear() };
  };
  const flush = () => {
    flushTimer = undefined;
    flushedMs = clock.monotonicMs();
    const batch = [...unsent];
    unsent.clear();
    for (const state of batch) sendAssignments(context, state);
  };

  const desired = new Desired((node, item) => {
    if (node === "*") {
      for (const state of states.values()) if (state.feed.mark(item)) schedule(state);
      return;
    }
    const state = states.get(node);
    if (state?.feed.mark(item) === true) schedule(state);
  });

  const wanted = (name: string): NodeWanted | undefined => states.get(name)?.wanted;
  const observed = (name: string) => desired.get<Node>("nodes", name);
  const findPod = (key: string) => desired.get<Pod>("pods", key);
  const writer = openNodeWriter({ client, clock, random, log, wanted, observed });
  const podReports = openPodReports({ client, clock, random, log, find: findPod });
  const nodeUid = (name: string) => writer.latest(name)?.metadata?.uid;
  const eventReports = openEventReports({ client, clock, random, log, findPod, nodeUid });
  const podsOf = (node: string) => [...desired.podsOf(node)].flatMap((key) => findPod(key) ?? []);
  const mirrorPods = openMirrorPods({ client, clock, random, log, podsOf, nodeUid });

  const liveness = openLiveness({
    clock,
    notReadyAfterMs: flags.notReadyAfterMs,
    onSilent: (node, silentMs) => {
      const state = states.get(node);
      if (state === undefined) return;
      const message = `no heartbeat for ${(silentMs / 1000).toFixed(1)} s`;
      state.wanted = { ...state.wanted, lost: { sinceEpochMs: clock.now(), message } };
      metrics?.nodesLost.inc();
      log.warn({ node, silentMs: Math.round(silentMs) }, "node is silent");
      writer.sync(node);
      const { link } = state;
      later(flags.silentCloseMs, () => {
        if (state.wanted.lost !== undefined && state.link === link) link?.close("no heartbeat");
        if (state.wanted.lost !== undefined && state.link === link) disconnected(state);
      });
    },
  });

  const disconnected = (state: NodeState) => {
    if (state.link === undefined) return;
    state.link = undefined;
    state.changedEpochMs = clock.now();
    unsent.delete(state);
    eventReports.forget(state.name);
    const { session } = state.wanted;
    later(flags.forgetAfterMs, () => {
      if (state.link === undefined && state.wanted.session === session) state.feed = new NodeFeed(flags.feed);
    });
  };

  const renewLease = (state: NodeState) => {
    leaseTimers.get(state.name)?.cancel();
    if (state.link === undefined || states.get(state.name) !== state) return;
    if (state.wanted.lost === undefined) writer.renewLease(state.name);
    // Spread, so that the leases of many nodes are not written all at once.
    const nextMs = flags.leaseRenewMs * (0.8 + 0.2 * fraction(random));
    leaseTimers.set(
      state.name,
      clock.after(nextMs, () => renewLease(state)),
    );
  };

  const broker = openBroker({
    clock,
    random,
    session: (node) => {
      const state = states.get(node);
      return state?.link === undefined ? { sinceMs: state?.changedEpochMs } : { link: state.link };
    },
  });

  const metrics =
    options.registry === undefined
      ? undefined
      : sessionMetrics(options.registry, {
          sessions: () => connectedNames(states).length,
          streams: () => broker.streams,
          reportsPending: () => podReports.size,
          eventsDropped: () => eventReports.dropped,
          heartbeatAges: () =>
            [...states.keys()].flatMap((node): (readonly [string, number])[] => {
              const heardMs = liveness.heardMs(node);
              return heardMs === undefined ? [] : [[node, (clock.monotonicMs() - heardMs) / 1000]];
            }),
        });

  const context: SessionContext = {
    epoch,
    nextSession: () => `${epoch}/${++sessionCount}`,
    flags,
    clock,
    log,
    desired,
    liveness,
    writer,
    podReports,
    eventReports,
    mirrorPods,
    metrics,
    issueToken:
      options.issueToken ?? (() => Promise.reject(new ApiError("ServiceUnavailable", "this server signs no tokens"))),
    stateOf: (name) => {
      let state = states.get(name);
      if (state === undefined) {
        state = newState(name, clock.now(), flags.feed);
        states.set(name, state);
      }
      return state;
    },
    schedule,
    disconnected,
    renewLease,
  };

  const removeNode = (name: string) => {
    writer.forget(name);
    const state = states.get(name);
    if (state === undefined) return;
    // An agent that lives dials in again and makes it anew; one that does not is forgotten.
    states.delete(name);
    liveness.forget(name);
    leaseTimers.get(name)?.cancel();
    leaseTimers.delete(name);
    state.link?.close("the Node object was deleted");
    disconnected(state);
  };

  // A fresh list tells of deletions by silence.
  const replace = (resource: NodeResource, objects: readonly KubeObject[]) => {
    const names = resource === "nodes" ? new Set(objects.map(keyOf)) : undefined;
    const known = [...states.keys()].filter((name) => observed(name) !== undefined);
    desired.replace(resource, objects);
    if (names !== undefined) for (const name of known) if (!names.has(name)) removeNode(name);
  };

  await Promise.all(
    followed.map(([name, resource]) =>
      follow(
        resource,
        {
          replace: (objects) => replace(name, objects),
          put: (object) => desired.put(name, object),
          remove: (object) => {
            desired.remove(name, keyOf(object));
            if (name === "nodes") removeNode(keyOf(object));
          },
        },
        { client, clock, random, log },
        closing.signal,
      ),
    ),
  );

  // Nodes that a former server heard: they have until then to dial in.
  const graceUntilMs = clock.monotonicMs() + flags.startGraceMs;
  for (const item of desired.allOf("")) {
    const node = item.startsWith("nodes/") ? observed(item.slice("nodes/".length)) : undefined;
    const name = node?.metadata?.name;
    const session = node?.metadata?.annotations?.[sessionAnnotation];
    if (name === undefined || session === undefined || !isReady(node?.status)) continue;
    const state = context.stateOf(name);
    state.wanted = { ...state.wanted, session };
    liveness.extend(name, graceUntilMs);
  }

  return {
    acceptSession: (node, link) => acceptSession(context, node, link),
    acceptStream: broker.acceptStream,
    open: broker.open,
    get connected() {
      return connectedNames(states);
    },
    [Symbol.asyncDispose]: async () => {
      closing.abort(new Error("the server stops"));
      flushTimer?.cancel();
      for (const timer of [...leaseTimers.values(), ...timers]) timer.cancel();
      liveness.close();
      writer.close();
      podReports.close();
      mirrorPods.close();
      broker.close();
      for (const { link } of states.values()) link?.close("the server stops");
    },
  };
}

function newState(name: string, nowMs: number, limits: FeedLimits): NodeState {
  return {
    name,
    feed: new NodeFeed(limits),
    link: undefined,
    changedEpochMs: nowMs,
    wanted: { name, hello: undefined, status: undefined, session: "", formerSession: undefined, lost: undefined },
  };
}

function connectedNames(states: ReadonlyMap<string, NodeState>): readonly string[] {
  return [...states.values()].filter(({ link }) => link !== undefined).map(({ name }) => name);
}
