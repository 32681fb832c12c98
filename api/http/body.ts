// Reads a request's body: bounded; JSON, YAML, or the protobuf that Go clients send.
import { duplicateFields } from "../kinds/schema/json-text.ts";
import { deleteOptionsType } from "../kinds/schema/openapi-paths.ts";
import { builtinSchemas } from "../kinds/schema/schema.ts";
import { ApiError } from "../kinds/status.ts";
import { type Exchange, header } from "./exchange.ts";

const bodyBytesMax = 3 * 1024 * 1024;
const yamlAliasesMax = 100;

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
  return type.endsWith("yaml") ? await parseYaml(text, exchange.warnings) : await parseJson(text, exchange);
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

async function parseYaml(text: string, warnings: string[]): Promise<unknown> {
  const { parseAllDocuments } = await import("yaml");
  const documents = parseAllDocuments(text, { uniqueKeys: true, merge: false, logLevel: "silent" });
  const [document, second] = "empty" in documents ? [] : documents;
  if (document === undefined) return undefined;
  if (second !== undefined) throw new ApiError("BadRequest", "the body must hold one YAML document");
  const problem = document.errors[0];
  if (problem !== undefined) throw new ApiError("BadRequest", `the body is not YAML: ${problem.message}`);
  warnings.push(...document.warnings.map((warning) => warning.message));
  try {
    return document.toJS({ maxAliasCount: yamlAliasesMax });
  } catch (cause) {
    throw new ApiError("BadRequest", "the body is not YAML: too many aliases", { cause });
  }
}
