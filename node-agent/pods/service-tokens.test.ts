import assert from "node:assert/strict";
import { test } from "node:test";
import { virtualClock } from "../../lib/virtual-clock.ts";
import { serviceTokens } from "./service-tokens.ts";

const pod = {
  metadata: { name: "web", namespace: "shop", uid: "u" },
  spec: { containers: [], serviceAccountName: "web" },
};

test("tokenFor asks again when most of a token's time is over, and lives on what it has when nobody answers", async () => {
  const clock = virtualClock();
  const asked: string[] = [];
  let reachable = true;
  const tokens = serviceTokens(async ({ account, audience, expirationSeconds }) => {
    if (!reachable) throw new Error("nobody answers");
    asked.push(`${account} ${audience} ${expirationSeconds}`);
    return { token: `token-${asked.length}`, expiresAtMs: clock.now() + expirationSeconds * 1000 };
  }, clock);
  const get = (audience?: string) =>
    tokens.tokenFor(pod, { path: "t", expirationSeconds: 1000, ...(audience === undefined ? {} : { audience }) });
  const seen = [await get(), await get(), await get("vault")];
  await clock.advance(799_000);
  seen.push(await get());
  await clock.advance(2000);
  seen.push(await get());
  reachable = false;
  await clock.advance(900_000);
  seen.push(await get());
  await clock.advance(200_000);
  await assert.rejects(get(), {
    name: "VolumeError",
    message: 'failed to fetch token for serviceaccount "web": nobody answers',
  });
  assert.deepEqual(
    [seen, asked],
    [
      ["token-1", "token-1", "token-2", "token-1", "token-3", "token-3"],
      ["web  1000", "web vault 1000", "web  1000"],
    ],
  );
});

test("prepare asks once for what volumes want, and isFresh says when they want another", async () => {
  const clock = virtualClock();
  let asked = 0;
  const tokens = serviceTokens(async ({ expirationSeconds }) => {
    asked++;
    return { token: `token-${asked}`, expiresAtMs: clock.now() + expirationSeconds * 1000 };
  }, clock);
  const projection = { path: "token", expirationSeconds: 1000 };
  const sources = [{ serviceAccountToken: projection }];
  const mounting = { ...pod, spec: { ...pod.spec, volumes: [{ name: "t", projected: { sources } }] } };
  const fresh = [tokens.isFresh("u")];
  tokens.prepare(mounting);
  const token = await tokens.tokenFor(mounting, projection);
  fresh.push(tokens.isFresh("u"));
  await clock.advance(801_000);
  fresh.push(tokens.isFresh("u"));
  await tokens.tokenFor(mounting, projection);
  fresh.push(tokens.isFresh("u"));
  tokens.keepOnly(new Set());
  fresh.push(tokens.isFresh("u"));
  assert.deepEqual([token, asked, fresh], ["token-1", 2, [false, true, false, true, false]]);
});
