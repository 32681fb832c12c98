// The keys that leave a container's terminal without ending it, found in what a user types. Pure.
import { badRequest } from "../http/problem.ts";

export const detachKeysDefault = "ctrl-p,ctrl-q";

/** "ctrl-p,ctrl-q", "a", "ctrl-]": as bytes. */
export function parseDetachKeys(text: string): Buffer {
  const keys = (text === "" ? detachKeysDefault : text).split(",").map((key) => {
    const control = /^ctrl-([a-z@[\\\]^_])$/.exec(key)?.[1];
    if (control !== undefined) return control.charCodeAt(0) & 0x1f;
    if (key.length !== 1) throw badRequest(`invalid detach keys (${text}): ${JSON.stringify(key)} is no key`);
    return key.charCodeAt(0);
  });
  return Buffer.from(keys);
}

/** What passes of the next bytes, and whether the keys were among them; bytes that may be their beginning wait. */
export function openDetachFilter(keys: Buffer): (bytes: Buffer) => { readonly pass: Buffer; readonly detach: boolean } {
  let held: Buffer = Buffer.alloc(0);
  return (bytes) => {
    const all = Buffer.concat([held, bytes]);
    const at = keys.length === 0 ? -1 : all.indexOf(keys);
    if (at >= 0) return { pass: all.subarray(0, at), detach: true };
    let keep = Math.min(keys.length - 1, all.length);
    while (keep > 0 && !all.subarray(all.length - keep).equals(keys.subarray(0, keep))) keep--;
    held = Buffer.from(all.subarray(all.length - keep));
    return { pass: all.subarray(0, all.length - keep), detach: false };
  };
}
