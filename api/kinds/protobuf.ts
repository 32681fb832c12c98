// Reads Kubernetes' protobuf form of objects, which Go clients send: bytes to the same JSON value that they would have sent as JSON.
// Source: Kubernetes, "API Concepts", "Alternate representations of resources"; field numbers in facts/field-numbers.json.
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import fieldNumbers from "./generated/field-numbers.json" with { type: "json" };
import { ApiError } from "./status.ts";

/** [JSON name, type, flags]: i inlined, p pointer (an explicit zero counts), r repeated, m map from strings. */
type Field = readonly [name: string, type: string, flags?: string];
type Messages = Readonly<Record<string, Readonly<Record<string, Field>>>>;

const messages = fieldNumbers as unknown as Messages;
const magic = [0x6b, 0x38, 0x73, 0x00];
const depthMax = 64;

/** Decodes a body that begins with the protobuf envelope; refuses with ApiError BadRequest what is none. `typeOf` maps apiVersion and kind. */
export function decodeProtobuf(
  bytes: Uint8Array,
  typeOf: (apiVersion: string, kind: string) => string | undefined,
): unknown {
  if (!magic.every((byte, i) => bytes[i] === byte))
    throw new ApiError("BadRequest", "the body is no Kubernetes protobuf: it does not begin with k8s\\0");
  try {
    const { apiVersion, kind, raw } = readEnvelope(bytes.subarray(magic.length));
    const type = typeOf(apiVersion, kind);
    if (type === undefined)
      throw new ApiError("BadRequest", `${kind} of ${apiVersion} cannot be read from protobuf: send JSON`);
    return { apiVersion, kind, ...readMessage(raw, type, 0) };
  } catch (error) {
    if (error instanceof ApiError) throw error;
    throw new ApiError(
      "BadRequest",
      `the body's protobuf is broken: ${error instanceof Error ? error.message : error}`,
      { cause: error },
    );
  }
}

// runtime.Unknown: 1 typeMeta {1 apiVersion, 2 kind}, 2 raw.
function readEnvelope(bytes: Uint8Array): {
  readonly apiVersion: string;
  readonly kind: string;
  readonly raw: Uint8Array;
} {
  const outer = readFields(bytes);
  const meta = readFields(outer.get(1) ?? new Uint8Array());
  const text = (value: Uint8Array | undefined) => new TextDecoder().decode(value ?? new Uint8Array());
  return { apiVersion: text(meta.get(1)), kind: text(meta.get(2)), raw: outer.get(2) ?? new Uint8Array() };
}

function readFields(bytes: Uint8Array): ReadonlyMap<number, Uint8Array> {
  const reader = new BinaryReader(bytes);
  const fields = new Map<number, Uint8Array>();
  while (reader.pos < reader.len) {
    const [number, wire] = reader.tag();
    if (wire === WireType.LengthDelimited) fields.set(number, reader.bytes());
    else reader.skip(wire, number);
  }
  return fields;
}

function readMessage(bytes: Uint8Array, type: string, depth: number): Record<string, unknown> {
  if (depth > depthMax) throw new Error(`nested deeper than ${depthMax}`);
  const fields = messages[type];
  if (fields === undefined) throw new Error(`no message ${type}`);
  const reader = new BinaryReader(bytes);
  const result: Record<string, unknown> = {};
  while (reader.pos < reader.len) {
    const [number, wire] = reader.tag();
    const field = fields[number];
    if (field === undefined) {
      reader.skip(wire, number);
      continue;
    }
    const [name, fieldType, flags = ""] = field;
    if (flags.includes("m")) readEntry(reader, result, field, depth);
    else if (flags.includes("i")) Object.assign(result, readMessage(reader.bytes(), fieldType, depth + 1));
    else {
      const value = readValue(reader, fieldType, depth);
      if (flags.includes("r")) result[name] = [...((result[name] as unknown[] | undefined) ?? []), value];
      // Go writes every plain field, also when it was never set; only behind a pointer does a zero mean something.
      else if (flags.includes("p") || !isZero(value)) result[name] = value;
    }
  }
  return result;
}

function readEntry(reader: BinaryReader, result: Record<string, unknown>, [name, type]: Field, depth: number): void {
  const entry = new BinaryReader(reader.bytes());
  let key = "";
  let value: unknown = type === "string" || type === "bytes" ? "" : undefined;
  while (entry.pos < entry.len) {
    const [number, wire] = entry.tag();
    if (number === 1) key = entry.string();
    else if (number === 2) value = readValue(entry, type, depth);
    else entry.skip(wire, number);
  }
  const map = (result[name] as Record<string, unknown> | undefined) ?? {};
  Object.defineProperty(map, key, { value, enumerable: true, configurable: true, writable: true });
  result[name] = map;
}

function readValue(reader: BinaryReader, type: string, depth: number): unknown {
  switch (type) {
    case "string":
      return reader.string();
    case "int32":
    case "int":
      return reader.int32();
    case "uint32":
      return reader.uint32();
    case "int64":
      return Number(reader.int64());
    case "bool":
      return reader.bool();
    case "float64":
      return reader.double();
    case "bytes":
      return base64(reader.bytes());
    default:
      return readStruct(reader.bytes(), type, depth);
  }
}

// Types whose JSON is not an object of their fields.
function readStruct(bytes: Uint8Array, type: string, depth: number): unknown {
  const short = type.slice(type.lastIndexOf(".") + 1);
  switch (short) {
    case "Quantity":
      return new TextDecoder().decode(readFields(bytes).get(1) ?? new Uint8Array());
    case "Time":
    case "MicroTime":
      return readTime(bytes, short);
    case "IntOrString":
      return readIntOrString(bytes);
    case "FieldsV1":
    case "RawExtension": {
      const raw = readFields(bytes).get(1);
      return raw === undefined ? undefined : JSON.parse(new TextDecoder().decode(raw));
    }
    default:
      return type.startsWith("list:")
        ? Object.values(readMessage(bytes, type.slice(5), depth + 1))
        : readMessage(bytes, type, depth + 1);
  }
}

function readTime(bytes: Uint8Array, type: "Time" | "MicroTime"): string | undefined {
  const reader = new BinaryReader(bytes);
  let seconds: number | undefined;
  let nanos = 0;
  while (reader.pos < reader.len) {
    const [number, wire] = reader.tag();
    if (number === 1) seconds = Number(reader.int64());
    else if (number === 2) nanos = reader.int32();
    else reader.skip(wire, number);
  }
  if (seconds === undefined) return undefined;
  const text = new Date(seconds * 1000).toISOString().slice(0, 19);
  return type === "Time" ? `${text}Z` : `${text}.${String(Math.floor(nanos / 1000)).padStart(6, "0")}Z`;
}

// 1 type (0 number, 1 string), 2 intVal, 3 strVal.
function readIntOrString(bytes: Uint8Array): string | number {
  const reader = new BinaryReader(bytes);
  let isText = false;
  let number = 0;
  let text = "";
  while (reader.pos < reader.len) {
    const [field, wire] = reader.tag();
    if (field === 1) isText = Number(reader.int64()) === 1;
    else if (field === 2) number = reader.int32();
    else if (field === 3) text = reader.string();
    else reader.skip(wire, field);
  }
  return isText ? text : number;
}

function isZero(value: unknown): boolean {
  if (value === undefined || value === "" || value === 0 || value === false) return true;
  return typeof value === "object" && value !== null && !Array.isArray(value) && Object.keys(value).length === 0;
}

function base64(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}
