// Asks the server for tokens of service accounts over the session; what was asked and not answered is asked again on the next one.
import { create } from "@bufbuild/protobuf";
import type { Clock } from "../lib/clock.ts";
import { type AgentMessage, type TokenReply, TokenRequestSchema } from "../proto/generated/node_pb.ts";
import type { RequestToken } from "./pods/service-tokens.ts";

type Message = AgentMessage["message"];

export interface SessionTokens {
  readonly request: RequestToken;
  /** All that wait for an answer. */
  readonly unanswered: () => readonly Message[];
  readonly answered: (reply: TokenReply) => void;
}

interface Waiting {
  readonly message: Message;
  readonly settle: (reply: Pick<TokenReply, "token" | "expiresEpochMs" | "error">) => void;
}

/** `send` says it now if there is somebody to hear it. */
export function openSessionTokens(clock: Clock, answerMsMax: number, send: (message: Message) => void): SessionTokens {
  const waiting = new Map<bigint, Waiting>();
  let lastId = 0n;
  return {
    request: ({ namespace, account, pod, audience, expirationSeconds }) =>
      new Promise((resolve, reject) => {
        const id = ++lastId;
        const value = create(TokenRequestSchema, {
          id,
          namespace,
          account,
          podName: pod.name,
          podUid: pod.uid,
          audience,
          expirationSeconds: BigInt(expirationSeconds),
        });
        const settle: Waiting["settle"] = ({ token, expiresEpochMs, error }) => {
          timer.cancel();
          waiting.delete(id);
          if (error === "") resolve({ token, expiresAtMs: Number(expiresEpochMs) });
          else reject(new Error(error));
        };
        const timer = clock.after(answerMsMax, () =>
          settle({ token: "", expiresEpochMs: 0n, error: `the server did not answer within ${answerMsMax} ms` }),
        );
        const message: Message = { case: "tokenRequest", value };
        waiting.set(id, { message, settle });
        send(message);
      }),
    unanswered: () => [...waiting.values()].map(({ message }) => message),
    answered: (reply) => waiting.get(reply.id)?.settle(reply),
  };
}
