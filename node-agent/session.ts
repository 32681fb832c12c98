// The agent's end of the session with the server: dials, says hello, beats, takes assignments, reports, and starts over when it breaks.
import { create } from "@bufbuild/protobuf";
import { type BackoffLimits, backoffMs } from "../lib/backoff.ts";
import { type Clock, sleep, type Timer } from "../lib/clock.ts";
import type { Logger } from "../lib/log.ts";
import type { Random } from "../lib/random.ts";
import {
  type AgentMessage,
  AgentMessageSchema,
  type Assignment,
  HelloSchema,
  type ServerMessage,
} from "../proto/generated/node_pb.ts";
import type { AgentLink, SessionTransport } from "../proto/transport.ts";
import { openAssignmentCache } from "./session-cache.ts";
import { openConnectionWatch } from "./session-connection.ts";
import { openOutbox } from "./session-outbox.ts";
import { openSessionStreams } from "./session-streams.ts";
import { openSessionTokens } from "./session-tokens.ts";
import type { AgentSession, SessionOptions } from "./session-types.ts";

export interface SessionParts {
  readonly transport: SessionTransport;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly limits?: Partial<SessionLimits>;
}

export interface SessionLimits {
  /** Until a welcome says otherwise. */
  readonly heartbeatMs: number;
  /** Without answers for so long the server counts as out of reach. */
  readonly silentMs: number;
  /** Without answers for so long the connection is given up; also how long a welcome may take. */
  readonly giveUpMs: number;
  /** Reports that nobody acknowledged are sent again. */
  readonly resendMs: number;
  readonly backoff: BackoffLimits;
  /** How long `goodbye` waits for the server. */
  readonly goodbyeMs: number;
  /** How long a token may take. */
  readonly tokenMs: number;
}

const defaultLimits: SessionLimits = {
  heartbeatMs: 200,
  silentMs: 1000,
  giveUpMs: 3000,
  resendMs: 2000,
  backoff: { firstMs: 100, maxMs: 2000 },
  goodbyeMs: 500,
  tokenMs: 5000,
};

export function openSession(options: SessionOptions, parts: SessionParts): AgentSession {
  const { transport, clock, random, log } = parts;
  const limits = { ...defaultLimits, ...parts.limits };
  const cache = openAssignmentCache();
  const streams = openSessionStreams(options.onStream, log);
  const connection = openConnectionWatch(clock, limits.silentMs);
  const outbox = openOutbox(clock, () => current?.flush());
  const tokens = openSessionTokens(clock, limits.tokenMs, (message) => current?.say(message));
  let current: Talk | undefined;
  let epoch = "";
  let goodbye: { readonly backWithinMs: number; readonly sequence: bigint; readonly done: () => void } | undefined;

  // One connection, from hello to its end.
  const talk = (signal: AbortSignal): Promise<{ reason: string; welcomed: boolean }> =>
    new Promise((resolve) => {
      let welcomed = false;
      let over = false;
      let heartbeatMs = limits.heartbeatMs;
      let beatTimer: Timer | undefined;
      let heartbeatSequence = 0n;
      let behindSinceMs: number | undefined;
      let heardMs = clock.monotonicMs();
      let appliedMs = heardMs;
      const sentBeats = new Map<bigint, number>();

      const finish = (reason: string) => {
        if (over) return;
        over = true;
        beatTimer?.cancel();
        signal.removeEventListener("abort", onAbort);
        connection.lost();
        cache.dropParts();
        current = undefined;
        resolve({ reason, welcomed });
      };
      const hangUp = (reason: string) => {
        link.close(reason);
        finish(reason);
      };
      const onAbort = () => hangUp("the agent stops");

      const send = (message: AgentMessage["message"], sequence = 0n) =>
        link.send(create(AgentMessageSchema, { message, sequence }));

      const flush = () => {
        if (!welcomed || over) return;
        while (!link.congested) {
          const message = outbox.next(clock.monotonicMs());
          if (message === undefined) return;
          link.send(message);
        }
      };

      const beat = () => {
        const nowMs = clock.monotonicMs();
        beatTimer = clock.after(heartbeatMs, beat);
        if (nowMs - heardMs > limits.giveUpMs) {
          hangUp(welcomed ? `no answer for ${limits.giveUpMs} ms` : `no welcome for ${limits.giveUpMs} ms`);
          return;
        }
        if (!welcomed) return;
        if (behindSinceMs !== undefined && nowMs - behindSinceMs > limits.silentMs) {
          hangUp("an assignment was lost");
          return;
        }
        sentBeats.set(++heartbeatSequence, nowMs);
        if (sentBeats.size > 1000) sentBeats.delete(sentBeats.keys().next().value ?? 0n);
        send({ case: "heartbeat", value: { $typeName: "naru.node.v1.Heartbeat", sequence: heartbeatSequence } });
        if (outbox.resend(nowMs - limits.resendMs)) flush();
        // Said again now and then: a server that never hears it sends nothing more.
        if (cache.generation > 0n && nowMs - appliedMs >= limits.resendMs) sayApplied();
      };

      const sayApplied = () => {
        appliedMs = clock.monotonicMs();
        send({ case: "applied", value: { $typeName: "naru.node.v1.Applied", generation: cache.generation } });
      };

      const onAssignment = (assignment: Assignment) => {
        const outcome = cache.take(assignment);
        if (outcome === "gap") {
          hangUp("an assignment was lost");
        } else if (outcome === "applied") {
          behindSinceMs = undefined;
          sayApplied();
        }
      };

      const onMessage = ({ message }: ServerMessage) => {
        if (over) return;
        heardMs = clock.monotonicMs();
        switch (message.case) {
          case "welcome":
            welcomed = true;
            if (message.value.epoch !== epoch) {
              epoch = message.value.epoch;
              cache.startEpoch();
              log.info({ epoch }, "joined a server");
            }
            heartbeatMs = Math.max(10, message.value.heartbeatIntervalMs || limits.heartbeatMs);
            connection.confirmed(helloMs);
            if (goodbye !== undefined) sendGoodbye();
            for (const request of tokens.unanswered()) send(request);
            outbox.resendAll();
            flush();
            beatTimer?.cancel();
            beat();
            return;
          case "assignment":
            onAssignment(message.value);
            return;
          case "heartbeatReply": {
            const sentMs = sentBeats.get(message.value.sequence);
            for (const sequence of sentBeats.keys()) if (sequence <= message.value.sequence) sentBeats.delete(sequence);
            if (sentMs !== undefined) connection.confirmed(sentMs);
            if (message.value.generation === cache.generation) behindSinceMs = undefined;
            else behindSinceMs ??= clock.monotonicMs();
            return;
          }
          case "acknowledge":
            for (const sequence of message.value.sequences) {
              outbox.acknowledged(sequence);
              if (sequence === goodbye?.sequence) goodbye.done();
            }
            return;
          case "streamOpen":
            streams.open(message.value, () => link.openStream());
            return;
          case "tokenReply":
            tokens.answered(message.value);
            return;
          case "streamClose":
            streams.close(message.value.streamId);
            return;
          default:
            return; // a newer server may know more
        }
      };

      const sendGoodbye = () => {
        if (goodbye === undefined) return;
        const { backWithinMs, sequence } = goodbye;
        send({ case: "goodbye", value: { $typeName: "naru.node.v1.Goodbye", backWithinMs } }, sequence);
      };

      const link: AgentLink = transport.connect({ onMessage, onDrain: flush, onClose: finish });
      const helloMs = clock.monotonicMs();
      const say = (message: AgentMessage["message"]) => {
        if (welcomed && !over) send(message);
      };
      current = { flush, sendGoodbye, say };
      signal.addEventListener("abort", onAbort, { once: true });
      send({
        case: "hello",
        value: create(HelloSchema, {
          node: new TextEncoder().encode(JSON.stringify(options.node())),
          agentVersion: options.agentVersion,
          epoch: cache.synced ? epoch : "",
          generation: cache.generation,
          runningPodUids: [...options.runningPodUids()],
        }),
      });
      beatTimer = clock.after(heartbeatMs, beat);
    });

  return {
    cache,
    reports: outbox,
    requestToken: tokens.request,
    get connection() {
      return connection.state;
    },
    onConnectionChange: connection.onChange,
    run: async (signal) => {
      let failures = 0;
      while (!signal.aborted) {
        const { reason, welcomed } = await talk(signal);
        if (signal.aborted) break;
        failures = welcomed ? 0 : failures + 1;
        const waitMs = backoffMs(limits.backoff, failures, random);
        log.warn({ reason, waitMs: Math.round(waitMs) }, "lost the server");
        await sleep(clock, waitMs, signal).catch(() => {});
      }
      streams.closeAll();
    },
    goodbye: (backWithinMs) =>
      new Promise((resolve) => {
        const timer = clock.after(limits.goodbyeMs, resolve);
        const done = () => {
          timer.cancel();
          resolve();
        };
        outbox.hurry();
        goodbye = { backWithinMs, sequence: outbox.nextSequence(), done };
        current?.sendGoodbye();
      }),
  };
}

interface Talk {
  readonly flush: () => void;
  readonly sendGoodbye: () => void;
  readonly say: (message: AgentMessage["message"]) => void;
}
