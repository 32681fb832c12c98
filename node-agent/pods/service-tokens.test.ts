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
