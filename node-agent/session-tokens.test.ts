import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { virtualClock } from "../lib/virtual-clock.ts";
import { TokenReplySchema } from "../proto/generated/node_pb.ts";
import { openSessionTokens } from "./session-tokens.ts";

const wanted = {
  namespace: "shop",
  account: "web",
  pod: { name: "web-1", uid: "u" },
  audience: "",
  expirationSeconds: 3607,
};

test("openSessionTokens gives each asker its own answer, keeps what has none for the next session, and gives up", async () => {
  const clock = virtualClock();
  const said: string[] = [];
  const tokens = openSessionTokens(clock, 1000, ({ case: what }) => said.push(String(what)));
  const reply = (init: Omit<MessageInitShape<typeof TokenReplySchema>, "$typeName">) =>
    tokens.answered(create(TokenReplySchema, init));
  const asked = [1, 2, 3].map(() =>
    tokens.request(wanted).then(
      ({ token, expiresAtMs }) => `${token} until ${expiresAtMs}`,
      (error: Error) => error.message,
    ),
  );
  reply({ id: 2n, token: "second", expiresEpochMs: 7n });
  reply({ id: 2n, token: "doubled" });
  reply({ id: 1n, error: "no such account" });
  const left = tokens.unanswered().map(({ value }) => value !== undefined && "podUid" in value && value.podUid);
  await clock.advance(1001);
  assert.deepEqual(
    [await Promise.all(asked), left, tokens.unanswered(), said],
    [
      ["no such account", "second until 7", "the server did not answer within 1000 ms"],
      ["u"],
      [],
      ["tokenRequest", "tokenRequest", "tokenRequest"],
    ],
  );
});
