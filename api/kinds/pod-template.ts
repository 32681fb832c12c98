// A pod template's hash: the name that ReplicaSets of one Deployment differ by.
import type { PodTemplateSpec } from "./generated/types.ts";
import { isObject } from "./schema/schema.ts";

export const podTemplateHashLabel = "pod-template-hash";

// No vowels and no look-alikes, so that hashes spell no words (as Kubernetes' do).
const alphabet = "bcdfghjklmnpqrstvwxz2456789";
const hashChars = 10;

/** Equal for templates that are equal after defaulting, whatever the order of their fields; `collisions` from status.collisionCount. */
export function podTemplateHash(template: PodTemplateSpec, collisions = 0): string {
  let rest = fnv1a64(`${canonicalText(template)}#${collisions}`);
  let hash = "";
  for (let i = 0; i < hashChars; i++) {
    hash += alphabet[Number(rest % BigInt(alphabet.length))];
    rest /= BigInt(alphabet.length);
  }
  return hash;
}

/** JSON with its members in order; undefined and null members are not there. */
function canonicalText(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalText).join(",")}]`;
  if (!isObject(value)) return JSON.stringify(value) ?? "null";
  const members = Object.keys(value)
    .filter((name) => value[name] !== undefined && value[name] !== null)
    .sort()
    .map((name) => `${JSON.stringify(name)}:${canonicalText(value[name])}`);
  return `{${members.join(",")}}`;
}

/** FNV-1a, 64 bits, over UTF-16 code units. */
function fnv1a64(text: string): bigint {
  let hash = 0xcbf29ce484222325n;
  for (let i = 0; i < text.length; i++) hash = BigInt.asUintN(64, (hash ^ BigInt(text.charCodeAt(i))) * 0x100000001b3n);
  return hash;
}
