// Batches of netlink messages: composed here, sent by the launcher ("netlink" in node-agent/launcher/netlink.c), answered in order.
import { getSystemErrorMap } from "node:util";

/** The part of the launcher's client that the network uses. */
export interface Launcher {
  request(
    op: string,
    args: readonly (string | number | Uint8Array)[],
    options?: LauncherOptions,
  ): Promise<readonly string[]>;
}

interface LauncherOptions {
  /** Nothing else waits for it: the kernel may take long. */
  readonly aside?: true;
}

export interface NetlinkStep {
  readonly what: string;
  readonly message: Buffer;
  /** Path of the network namespace; absent: the launcher's own. */
  readonly netns?: string;
  /** Absent: links, addresses and routes (NETLINK_ROUTE). */
  readonly protocol?: number;
  /** The message's last four bytes become a descriptor of this namespace. */
  readonly lastIsFdOf?: string;
  /** Errors, as positive errno, that are as good as success. */
  readonly accept?: readonly number[];
  /** Of answers: the fixed header's size, and the attributes to keep; without it, all. */
  readonly keep?: { readonly headerBytes: number; readonly types: readonly number[] };
}

/** Network namespaces bound to a path. */
export interface NamespaceStep {
  readonly what: string;
  readonly namespace: "make" | "drop";
  readonly netns: string;
  readonly accept?: readonly number[];
}

export interface StepResult {
  /** A positive errno of those that were to be accepted, or 0. */
  readonly errno: number;
  readonly answers: readonly Answer[];
}

export interface Answer {
  readonly type: number;
  /** Behind the netlink header. */
  readonly body: Buffer;
}

/** What the kernel refused: the step, its errno, and its own words if it had any. */
export class NetlinkError extends Error {
  readonly errno: number;

  constructor(what: string, errno: number, reason: string) {
    const name = getSystemErrorMap().get(-errno)?.[1] ?? `error ${errno}`;
    super(`${what}: ${name}${reason === "" ? "" : ` (${reason})`}`);
    this.name = "NetlinkError";
    this.errno = errno;
  }
}

export const errno = { EPERM: 1, ENOENT: 2, ESRCH: 3, EEXIST: 17, ENODEV: 19, EINVAL: 22, EADDRNOTAVAIL: 99 } as const;

const stepsPerRequestMax = 2000;
const namespacesPerRequestMax = 60;

/** Performs the steps in order; rejects with NetlinkError at the first that fails otherwise than its `accept` allows. */
export async function perform(
  launcher: Launcher,
  steps: readonly (NetlinkStep | NamespaceStep)[],
  options: LauncherOptions = {},
): Promise<readonly StepResult[]> {
  const results: StepResult[] = [];
  for (const part of parts(steps)) {
    const [text = ""] = await launcher.request("netlink", [encodeBatch(part)], options);
    results.push(...decodeResults(part, Buffer.from(text, "hex")));
  }
  return results;
}

// As many steps and namespaces as the launcher takes at once.
function* parts(steps: readonly (NetlinkStep | NamespaceStep)[]): Generator<readonly (NetlinkStep | NamespaceStep)[]> {
  let part: (NetlinkStep | NamespaceStep)[] = [];
  let namespaces = new Set<string>();
  for (const step of steps) {
    const used = [step.netns ?? "", "lastIsFdOf" in step ? (step.lastIsFdOf ?? "") : ""];
    if (part.length >= stepsPerRequestMax || new Set([...namespaces, ...used]).size > namespacesPerRequestMax) {
      yield part;
      part = [];
      namespaces = new Set();
    }
    part.push(step);
    for (const path of used) namespaces.add(path);
  }
  if (part.length > 0) yield part;
}

/** An attribute: text gets its closing zero, numbers are 32 bits wide, lists nest. */
export function attribute(type: number, value: string | number | Uint8Array | readonly Buffer[]): Buffer {
  const payload = attributePayload(value);
  const buffer = Buffer.alloc((4 + payload.length + 3) & ~3);
  buffer.writeUInt16LE(4 + payload.length, 0);
  buffer.writeUInt16LE(type, 2);
  buffer.set(payload, 4);
  return buffer;
}

export function message(type: number, flags: number, fixed: Buffer, attributes: readonly Buffer[]): Buffer {
  const buffer = Buffer.concat([Buffer.alloc(16), fixed, ...attributes]);
  buffer.writeUInt32LE(buffer.length, 0);
  buffer.writeUInt16LE(type, 4);
  buffer.writeUInt16LE(flags, 6);
  return buffer;
}

/** Attributes by type, of what follows the fixed header. */
export function attributesOf(body: Buffer, headerBytes: number): ReadonlyMap<number, Buffer> {
  const found = new Map<number, Buffer>();
  for (let at = headerBytes; at + 4 <= body.length; ) {
    const length = body.readUInt16LE(at);
    if (length < 4 || at + length > body.length) break;
    found.set(body.readUInt16LE(at + 2) & 0x3fff, body.subarray(at + 4, at + length));
    at += (length + 3) & ~3;
  }
  return found;
}

function attributePayload(value: string | number | Uint8Array | readonly Buffer[]): Uint8Array {
  if (typeof value === "string") return Buffer.from(`${value}\0`);
  if (typeof value === "number") {
    const buffer = Buffer.alloc(4);
    buffer.writeUInt32LE(value >>> 0);
    return buffer;
  }
  return value instanceof Uint8Array ? value : Buffer.concat(value);
}

function encodeBatch(steps: readonly (NetlinkStep | NamespaceStep)[]): Buffer {
  const paths = new Map<string, number>();
  const indexOf = (path: string) => {
    const index = paths.get(path) ?? paths.size;
    paths.set(path, index);
    return index;
  };
  const encoded = steps.map((step) => encodeStep(step, indexOf));
  const spaces = [...paths.keys()].flatMap((path) => [uint32s(Buffer.byteLength(path)), Buffer.from(path)]);
  return Buffer.concat([uint32s(paths.size), ...spaces, uint32s(steps.length), ...encoded]);
}

function encodeStep(step: NetlinkStep | NamespaceStep, indexOf: (path: string) => number): Buffer {
  const tolerant = step.accept === undefined ? 0 : 1;
  const netns = indexOf(step.netns ?? "");
  if ("namespace" in step) {
    return uint32s(step.namespace === "make" ? 1 : 2, netns, 0, tolerant, 0xffffffff, 0, 0, 0, 0);
  }
  const fdOffset = step.lastIsFdOf === undefined ? 0xffffffff : step.message.length - 4;
  const fdSpace = indexOf(step.lastIsFdOf ?? "");
  const keep = (step.keep?.types ?? []).reduce((mask, type) => mask | (1 << type), 0) >>> 0;
  const head = uint32s(
    0,
    netns,
    step.protocol ?? 0,
    tolerant,
    fdOffset,
    fdSpace,
    step.keep?.headerBytes ?? 0,
    keep,
    step.message.length,
  );
  return Buffer.concat([head, step.message]);
}

function uint32s(...values: readonly number[]): Buffer {
  const buffer = Buffer.alloc(values.length * 4);
  for (const [i, value] of values.entries()) buffer.writeUInt32LE(value, i * 4);
  return buffer;
}

function decodeResults(steps: readonly (NetlinkStep | NamespaceStep)[], reply: Buffer): readonly StepResult[] {
  const results: StepResult[] = [];
  let at = 0;
  for (const step of steps) {
    if (at + 8 > reply.length) throw new Error(`${step.what}: the launcher gave no answer`);
    const code = -reply.readInt32LE(at);
    const data = reply.subarray(at + 8, at + 8 + reply.readUInt32LE(at + 4));
    at += 8 + data.length;
    if (code !== 0 && step.accept?.includes(code) !== true) {
      throw new NetlinkError(step.what, code, data.toString());
    }
    results.push({ errno: code, answers: code === 0 ? decodeAnswers(data) : [] });
  }
  return results;
}

function decodeAnswers(data: Buffer): readonly Answer[] {
  const answers: Answer[] = [];
  for (let at = 0; at + 16 <= data.length; ) {
    const length = data.readUInt32LE(at);
    if (length < 16 || at + length > data.length) break;
    answers.push({ type: data.readUInt16LE(at + 4), body: data.subarray(at + 16, at + length) });
    at += (length + 3) & ~3;
  }
  return answers;
}
