// Join tokens: shown once, stored as a hash, good until they expire. What a machine presents to become a node.
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { assert } from "../../lib/assert.ts";
import { timestamp } from "../../lib/clock.ts";
import { secrets } from "../kinds/generated/resources.ts";
import type { Secret } from "../kinds/generated/types.ts";
import { kindOf } from "../kinds/list.ts";
import { ApiError } from "../kinds/status.ts";
import type { Context } from "../verbs/context.ts";
import { createObject } from "../verbs/create.ts";
import type { User } from "./user.ts";

const namespace = "kube-system";
const secretType = "naru.dev/join-token";
const namePrefix = "naru-join-";
const idBytes = 5;
const secretBytes = 24;

/** SHA-256 of a PEM certificate's DER form, in hexadecimal: what a token carries of the authority. */
function fingerprint(certificatePem: string): string {
  const base64 = certificatePem.replaceAll(/-----[A-Z ]+-----|\s/g, "");
  return createHash("sha256").update(Buffer.from(base64, "base64")).digest("hex");
}

export interface NewToken {
  readonly ttlSeconds: number;
  readonly authorityPem: string;
  readonly user: User;
}

/** `naru1.<hash of the authority>.<id>.<secret>` */
export async function createJoinToken(context: Context, { ttlSeconds, authorityPem, user }: NewToken): Promise<string> {
  const kind = kindOf(secrets);
  assert(kind !== undefined, "secrets are stored");
  const id = randomBytes(idBytes).toString("hex");
  const secret = randomBytes(secretBytes).toString("base64url");
  const body: Secret = {
    metadata: { name: namePrefix + id },
    type: secretType,
    data: {
      hash: base64(hashOf(secret).toString("hex")),
      expiration: base64(timestamp(context.clock.now() + ttlSeconds * 1000)),
    },
  };
  await createObject(
    context,
    { kind: kind as unknown as Parameters<typeof createObject>[1]["kind"], namespace, body },
    { user },
  );
  return `naru1.${fingerprint(authorityPem)}.${id}.${secret}`;
}

/** Refuses with Unauthorized what is unknown, wrong or expired, and does not say which. */
export function checkJoinToken(context: Pick<Context, "cache" | "clock">, token: string): void {
  const match = /^naru1\.[0-9a-f]{64}\.([0-9a-f]{10})\.([A-Za-z0-9_-]{32})$/.exec(token);
  const secret =
    match === null ? undefined : context.cache.get(secrets, `${namespace}/${namePrefix}${match[1]}`)?.object;
  const wanted = Buffer.from(secret?.type === secretType ? text(secret, "hash") : "", "hex");
  const given = hashOf(match?.[2] ?? "");
  const fits = wanted.length === given.length && timingSafeEqual(wanted, given);
  const endsMs = Date.parse(secret === undefined ? "" : text(secret, "expiration"));
  if (!fits || !(endsMs > context.clock.now())) {
    throw new ApiError("Unauthorized", "the join token is unknown or has expired: make a new one with `naru token`");
  }
}

function hashOf(secret: string): Buffer {
  return createHash("sha256").update(secret).digest();
}

function text(secret: Secret, key: string): string {
  return Buffer.from(secret.data?.[key] ?? "", "base64").toString();
}

function base64(value: string): string {
  return Buffer.from(value).toString("base64");
}
