// Tokens of service accounts against a cache of one account and one pod.
import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { test } from "node:test";
import { SignJWT } from "jose";
import { virtualClock } from "../../lib/virtual-clock.ts";
import type { Context } from "../verbs/context.ts";
import { issuer, serviceAccountTokens, type TokenClaims } from "./service-account-token.ts";

const key = () => generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
const pem = (of: ReturnType<typeof key>) => of.export({ type: "pkcs8", format: "pem" }).toString();

function opened(objects: Record<string, string>, keyPem = pem(key())) {
  const clock = virtualClock();
  const cache = {
    get: (resource: { readonly resource: string }, name: string) => {
      const uid = objects[`${resource.resource}/${name}`];
      return uid === undefined ? undefined : { object: { metadata: { uid } } };
    },
  } as unknown as Context["cache"];
  return { clock, objects, tokens: serviceAccountTokens(keyPem, { cache, clock }) };
}

const there = () => ({ "serviceaccounts/shop/web": "u1", "pods/shop/web-0": "u2" });
const claims: TokenClaims = {
  namespace: "shop",
  account: { name: "web", uid: "u1" },
  pod: { name: "web-0", uid: "u2" },
  audiences: [],
  expirationSeconds: 600,
};
const unauthorized = { code: 401 };

test("identify knows the account of a token that was issued", async () => {
  const { tokens, clock } = opened(there());
  const { token, expiresAtMs } = await tokens.issue(claims);
  assert.deepEqual(
    [await tokens.identify(token), expiresAtMs - clock.now()],
    [
      {
        name: "system:serviceaccount:shop:web",
        groups: ["system:serviceaccounts", "system:serviceaccounts:shop", "system:authenticated"],
      },
      600_000,
    ],
  );
});

test("identify refuses a token after its time, its pod or its account", async () => {
  const late = opened(there());
  const { token } = await late.tokens.issue(claims);
  await late.clock.advance(601_000);
  await assert.rejects(late.tokens.identify(token), unauthorized);
  for (const name of ["serviceaccounts/shop/web", "pods/shop/web-0"]) {
    const { tokens, objects } = opened(there());
    const issued = await tokens.issue(claims);
    Object.assign(objects, { [name]: "another" });
    await assert.rejects(tokens.identify(issued.token), unauthorized, name);
  }
});

test("identify refuses what others signed, what is for others, and what is not signed", async () => {
  const { tokens } = opened(there());
  const foreign = await opened(there()).tokens.issue(claims);
  const elsewhere = await tokens.issue({ ...claims, audiences: ["vault"] });
  const none = `${Buffer.from('{"alg":"none"}').toString("base64url")}.${elsewhere.token.split(".")[1]}.`;
  for (const token of [foreign.token, elsewhere.token, none, "a.b.c"])
    await assert.rejects(tokens.identify(token), unauthorized, token);
});

test("identify refuses a token of ours that names nobody", async () => {
  const own = key();
  const { tokens, clock } = opened(there(), pem(own));
  const token = await new SignJWT({})
    .setProtectedHeader({ alg: "ES256" })
    .setIssuer(issuer)
    .setAudience(issuer)
    .setExpirationTime(clock.now() / 1000 + 60)
    .sign(own);
  await assert.rejects(tokens.identify(token), unauthorized);
});
