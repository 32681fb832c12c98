// Reads a request's body: bounded; JSON, YAML, or the protobuf that Go clients send.
import type { Document } from "yaml";
import { duplicateFields, nestsDeeper } from "../kinds/schema/json-text.ts";
import { deleteOptionsType } from "../kinds/schema/openapi-paths.ts";
import { builtinSchemas } from "../kinds/schema/schema.ts";
import { ApiError } from "../kinds/status.ts";
import { type Exchange, header } from "./exchange.ts";

const bodyBytesMax = 3 * 1024 * 1024;
/** It takes seconds to read more, and nothing larger can be stored. */
const yamlBytesMax = 1.5 * 1024 * 1024;
const yamlAliasesMax = 100;
const depthMax = 1000;

/** The media type in lower case, without parameters. */
export function mediaType(exchange: Exchange): string {
  return (header(exchange, "content-type") ?? "").split(";")[0]?.trim().toLowerCase() ?? "";
}

/** The parsed body; undefined when it is empty. Refuses with BadRequest, UnsupportedMediaType or RequestEntityTooLarge. */
export async function readBody(exchange: Exchange): Promise<unknown> {
  const type = mediaType(exchange);
  const bytes = await readBytes(exchange);
  if (bytes.length === 0) return undefined;
  if (type.includes("protobuf")) {
    // Loaded when the first Go client comes: its tables are large.
    const { decodeProtobuf } = await import("../kinds/protobuf.ts");
    return decodeProtobuf(bytes, typeOfGvk);
  }
  const text = bytes.toString("utf8");
  return type.endsWith("yaml") ? await readYaml(text, exchange) : await parseJson(text, exchange);
}

function typeOfGvk(apiVersion: string, kind: string): string | undefined {
  // A kind of every group and version: clients send it in that of what they delete.
  if (kind === "DeleteOptions") return deleteOptionsType;
  const gvk = `${apiVersion}/${kind}`;
  return Object.keys(builtinSchemas).find((name) => builtinSchemas[name]?.gvk?.includes(gvk));
}

async function readBytes(exchange: Pick<Exchange, "request">, bytesMax = bodyBytesMax): Promise<Buffer> {
  const announced = Number(header(exchange, "content-length") ?? 0);
  if (announced > bytesMax) throw tooLarge(bytesMax);
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of exchange.request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > bytesMax) throw tooLarge(bytesMax);
    chunks.push(chunk);
  }
  return chunks.length === 1 ? (chunks[0] ?? Buffer.alloc(0)) : Buffer.concat(chunks);
}

function tooLarge(bytesMax: number): ApiError {
  return new ApiError("RequestEntityTooLarge", `Request entity too large: limit is ${bytesMax} bytes`);
}

async function parseJson(text: string, exchange: Exchange): Promise<unknown> {
  const value = await readJson(text);
  if (nestsDeeper(text, depthMax)) throw new ApiError("BadRequest", `the body is nested deeper than ${depthMax}`);
  const validation = exchange.query.get("fieldValidation");
  if (validation === "Ignore") return value;
  const doubled = duplicateFields(text);
  if (doubled.length > 0 && validation === "Strict") {
    throw new ApiError("BadRequest", `strict decoding error: ${doubled.join(", ")}`);
  }
  exchange.warnings.push(...doubled);
  return value;
}

async function readJson(text: string): Promise<unknown> {
  try {
    return JSON.parse(text);
  } catch (jsonError) {
    // kubectl may send YAML without saying so; what is neither is told as the JSON that it claims to be.
    const first = text.trimStart()[0];
    if (first !== "{" && first !== "[") return await parseYaml(text, []);
    const detail = jsonError instanceof Error ? jsonError.message : String(jsonError);
    throw new ApiError("BadRequest", `the body is not JSON: ${detail}`, { cause: jsonError });
  }
}

// kubectl sends JSON under this name too, which is read in a hundredth of the time.
async function readYaml(text: string, exchange: Exchange): Promise<unknown> {
  try {
    JSON.parse(text);
  } catch {
    return await parseYaml(text, exchange.warnings);
  }
  return await parseJson(text, exchange);
}

async function parseYaml(text: string, warnings: string[]): Promise<unknown> {
  if (text.length > yamlBytesMax) throw tooLarge(yamlBytesMax);
  const { LineCounter, parseAllDocuments } = await import("yaml");
  const lineCounter = new LineCounter();
  // The package's own look for doubled keys compares each with each.
  const options = { uniqueKeys: false, merge: false, logLevel: "silent", lineCounter } as const;
  const documents = parseAllDocuments(text, options);
  const [document, second] = "empty" in documents ? [] : documents;
  if (document === undefined) return undefined;
  if (second !== undefined) throw new ApiError("BadRequest", "the body must hold one YAML document");
  const problem = document.errors[0];
  if (problem !== undefined) throw new ApiError("BadRequest", `the body is not YAML: ${problem.message}`);
  const doubled = await doubledKey(document);
  if (doubled !== undefined) {
    const { line, col } = lineCounter.linePos(doubled.offset);
    const where = `${JSON.stringify(doubled.key)} at line ${line}, column ${col}`;
    throw new ApiError("BadRequest", `the body is not YAML: a map's keys must be unique, ${where}`);
  }
  warnings.push(...document.warnings.map((warning) => warning.message));
  try {
    return document.toJS({ maxAliasCount: yamlAliasesMax });
  } catch (cause) {
    throw new ApiError("BadRequest", "the body is not YAML: too many aliases", { cause });
  }
}

async function doubledKey(document: Document): Promise<{ readonly key: unknown; readonly offset: number } | undefined> {
  const { isScalar, visit } = await import("yaml");
  let found: { readonly key: unknown; readonly offset: number } | undefined;
  visit(document, {
    Map: (_, map) => {
      const seen = new Set<unknown>();
      for (const { key } of map.items) {
        if (!isScalar(key)) continue;
        if (!seen.has(key.value)) seen.add(key.value);
        else {
          found = { key: key.value, offset: key.range?.[0] ?? 0 };
          return visit.BREAK;
        }
      }
      return undefined;
    },
  });
  return found;
}
