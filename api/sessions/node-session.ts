// One session with one agent, from its hello to its end. What it says is believed only about its own node and that node's pods.
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { Clock } from "../../lib/clock.ts";
import type { Logger } from "../../lib/log.ts";
import {
  type AgentMessage,
  type Hello,
  type ServerMessage,
  ServerMessageSchema,
  type TokenReplySchema,
  type TokenRequest,
} from "../../proto/generated/node_pb.ts";
import type { Link, LinkEvents } from "../../proto/transport.ts";
import type { WantedToken } from "../authentication/bound-token.ts";
import type { IssuedToken } from "../authentication/service-account-token.ts";
import type { Event, Node, NodeStatus, Pod, PodStatus } from "../kinds/generated/types.ts";
import type { Desired } from "./desired.ts";
import type { EventReports } from "./event-reports.ts";
import type { Liveness } from "./liveness.ts";
import type { SessionMetrics } from "./metrics.ts";
import type { MirrorPods } from "./mirror-pods.ts";
import type { NodeFeed } from "./node-feed.ts";
import { type NodeWanted, sessionAnnotation } from "./node-object.ts";
import type { NodeWriter } from "./node-writer.ts";
import type { PodReports } from "./pod-reports.ts";
import type { SessionFlags } from "./sessions.ts";

/** What the server remembers of a node, across its sessions. */
export interface NodeState {
  readonly name: string;
  feed: NodeFeed;
  /** Its session, while it has one. */
  link: Link<ServerMessage> | undefined;
  /** When it last got or lost a session, ms since the epoch. */
  changedEpochMs: number;
  wanted: NodeWanted;
}

export interface SessionContext {
  readonly epoch: string;
  /** Unique name of a session. */
  readonly nextSession: () => string;
  readonly flags: SessionFlags;
  readonly clock: Clock;
  readonly log: Logger;
  readonly desired: Desired;
  readonly liveness: Liveness;
  readonly writer: NodeWriter;
  readonly podReports: PodReports;
  readonly eventReports: EventReports;
  readonly mirrorPods: MirrorPods;
  readonly metrics: SessionMetrics | undefined;
  readonly issueToken: (node: string, wanted: WantedToken) => Promise<Pick<IssuedToken, "token" | "expiresAtMs">>;
  readonly stateOf: (node: string) => NodeState;
  readonly schedule: (state: NodeState) => void;
  readonly disconnected: (state: NodeState) => void;
  readonly renewLease: (state: NodeState) => void;
}

const helloMsMax = 5000;
/** Acknowledgements that wait for company. */
const acknowledgementsMax = 1000;

export function acceptSession(
  context: SessionContext,
  node: string,
  link: Link<ServerMessage>,
): LinkEvents<AgentMessage> {
  const { clock, log, liveness, writer } = context;
  let state: NodeState | undefined;
  let acknowledgements: bigint[] = [];
  /** Highest sequence seen per pod: a delayed older status must not overwrite a newer one. */
  const newest = new Map<string, bigint>();

  const helloTimer = clock.after(helloMsMax, () => link.close("no hello"));
  const isCurrent = () => state?.link === link;

  const acknowledge = (sequence: bigint) => {
    if (sequence === 0n || !isCurrent()) return;
    acknowledgements.push(sequence);
    if (acknowledgements.length === 1) clock.after(context.flags.flushMs, sendAcknowledgements);
    if (acknowledgements.length >= acknowledgementsMax) sendAcknowledgements();
  };
  const sendAcknowledgements = () => {
    if (acknowledgements.length === 0) return;
    const sequences = acknowledgements;
    acknowledgements = [];
    send(link, { case: "acknowledge", value: { sequences } });
  };

  const onHello = (hello: Hello) => {
    const said = parseJson<Node>(hello.node);
    if (said === undefined) {
      link.close("hello does not hold a Node object");
      return;
    }
    helloTimer.cancel();
    state = context.stateOf(node);
    state.link?.close("another agent of this node dialled in");
    state.link = link;
    state.changedEpochMs = clock.now();
    const session = context.nextSession();
    const formerSession = writer.latest(node)?.metadata?.annotations?.[sessionAnnotation];
    state.wanted = { name: node, hello: said, status: undefined, session, formerSession, lost: undefined };
    liveness.begin(node);
    writer.sync(node);
    const spec = writer.latest(node)?.spec;
    const podCidrs = spec?.podCIDRs ?? (spec?.podCIDR === undefined ? [] : [spec.podCIDR]);
    const heartbeatIntervalMs = context.flags.heartbeatMs;
    send(link, { case: "welcome", value: { epoch: context.epoch, heartbeatIntervalMs, podCidrs: [...podCidrs] } });
    const isResume = hello.epoch === context.epoch;
    const start = state.feed.begin(isResume ? hello.generation : undefined);
    log.info({ node, start, agentVersion: hello.agentVersion }, "node connected");
    context.renewLease(state);
    sendAssignments(context, state);
  };

  const onPodReport = (uid: string, sequence: bigint, report: () => void) => {
    const before = newest.get(uid) ?? 0n;
    if (sequence !== 0n && sequence < before) return; // overtaken
    newest.set(uid, sequence);
    // Old pods' entries go first; losing one costs at most a stale write.
    if (newest.size > 10_000) newest.delete(newest.keys().next().value ?? "");
    report();
  };

  const onMessage = ({ message, sequence }: AgentMessage) => {
    if (message.case === "hello") {
      if (state === undefined) onHello(message.value);
      return; // doubled
    }
    if (state === undefined) {
      link.close("the first message must be hello");
      return;
    }
    if (!isCurrent()) return;
    if (liveness.heard(node)) {
      // Its pods were marked meanwhile: with a new session it says again how they are.
      log.info({ node }, "node is heard again");
      link.close("counted as lost: start over");
      context.disconnected(state);
      return;
    }
    switch (message.case) {
      case "heartbeat": {
        const value = { sequence: message.value.sequence, generation: state.feed.generation };
        send(link, { case: "heartbeatReply", value });
        return;
      }
      case "applied":
        state.feed.applied(message.value.generation);
        if (state.feed.hasWork) context.schedule(state);
        return;
      case "podStatus": {
        const { namespace, name, uid } = message.value;
        const status = parseJson<PodStatus>(message.value.status);
        const done = () => acknowledge(sequence);
        if (status === undefined) done();
        else onPodReport(uid, sequence, () => context.podReports.report({ node, namespace, name, uid, status, done }));
        return;
      }
      case "podGone": {
        const { namespace, name, uid } = message.value;
        const done = () => acknowledge(sequence);
        onPodReport(uid, sequence, () =>
          context.podReports.report({ node, namespace, name, uid, status: undefined, done }),
        );
        return;
      }
      case "nodeStatus": {
        const status = parseJson<NodeStatus>(message.value.status);
        if (status !== undefined && sequence >= (newest.get("") ?? 0n)) {
          newest.set("", sequence);
          state.wanted = { ...state.wanted, status };
          writer.sync(node);
        }
        acknowledge(sequence); // kept in memory; hello says it again after a restart of the server
        return;
      }
      case "event": {
        const event = parseJson<Event>(message.value.event);
        if (event !== undefined) context.eventReports.report(node, event);
        return;
      }
      case "mirrorPods": {
        if (sequence !== 0n && sequence < (newest.get("mirrors") ?? 0n)) return;
        newest.set("mirrors", sequence);
        const mirrors = message.value.pods.flatMap((bytes) => parseJson<Pod>(bytes) ?? []);
        context.mirrorPods.report(node, mirrors, () => acknowledge(sequence));
        return;
      }
      case "tokenRequest":
        void answerTokenRequest(context, node, message.value).then((value) => {
          if (isCurrent()) send(link, { case: "tokenReply", value });
        });
        return;
      case "goodbye": {
        const backMs = Math.min(message.value.backWithinMs, context.flags.goodbyeMsMax);
        liveness.extend(node, clock.monotonicMs() + backMs + context.flags.notReadyAfterMs);
        log.info({ node, backMs }, "node says goodbye");
        acknowledge(sequence);
        return;
      }
      default:
        return; // a newer agent may say more
    }
  };

  return {
    onMessage,
    onDrain: () => {
      if (state !== undefined && isCurrent()) sendAssignments(context, state);
    },
    onClose: (reason) => {
      helloTimer.cancel();
      if (state === undefined || !isCurrent()) return;
      log.info({ node, reason }, "node disconnected");
      context.disconnected(state);
    },
  };
}

async function answerTokenRequest(
  { issueToken }: SessionContext,
  node: string,
  { id, namespace, account, podName, podUid, audience, expirationSeconds }: TokenRequest,
): Promise<MessageInitShape<typeof TokenReplySchema>> {
  const spec = {
    audiences: audience === "" ? [] : [audience],
    expirationSeconds: Number(expirationSeconds),
    boundObjectRef: { kind: "Pod", apiVersion: "v1", name: podName, uid: podUid },
  };
  try {
    const { token, expiresAtMs } = await issueToken(node, { namespace, account, spec });
    return { id, token, expiresEpochMs: BigInt(expiresAtMs) };
  } catch (error) {
    return { id, error: error instanceof Error ? error.message : String(error) };
  }
}

/** Sends what the node lacks, as far as its connection takes it. */
export function sendAssignments({ desired, metrics }: SessionContext, state: NodeState): void {
  const { link, feed, name } = state;
  if (link === undefined) return;
  const source = { wanted: (item: string) => desired.wanted(name, item), all: () => desired.allOf(name) };
  while (!link.congested) {
    const part = feed.nextPart(source);
    if (part === undefined) return;
    metrics?.assignments.inc({ type: part.full ? "full" : "change" });
    metrics?.assignmentBytes.inc(part.put.reduce((sum, { json }) => sum + json.length, 0));
    send(link, { case: "assignment", value: part });
  }
}

type ServerContent = NonNullable<MessageInitShape<typeof ServerMessageSchema>["message"]>;

function send(link: Link<ServerMessage>, message: ServerContent): void {
  link.send(create(ServerMessageSchema, { message }));
}

/** What an agent wrote; undefined when it is not a JSON object. */
function parseJson<T extends object>(bytes: Uint8Array): T | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8"));
    return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as T) : undefined;
  } catch {
    return undefined;
  }
}
