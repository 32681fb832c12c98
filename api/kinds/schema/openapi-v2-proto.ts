// The OpenAPI v2 document in gnostic's protobuf form: the only one that kubectl up to 1.2x takes.
// Source: gnostic, openapiv2/OpenAPIv2.proto; the numbers below are its field numbers.
import { BinaryWriter } from "@bufbuild/protobuf/wire";
import { isObject, type JsonObject } from "./schema.ts";

/** What clients ask for in Accept. */
export const openapiV2ProtoTypes = [
  "application/com.github.proto-openapi.spec.v2@v1.0+protobuf",
  "application/com.github.proto-openapi.spec.v2.v1.0+protobuf",
] as const;

/** What the answer's Content-Type says: the older name is no media type, and kubectl 1.20 refuses to read it. */
export const openapiV2ProtoContentType = openapiV2ProtoTypes[1];

/** `document` is openapiV2's: what it does not print is not encoded either. */
export function encodeOpenapiV2(document: JsonObject): Uint8Array {
  const writer = new BinaryWriter();
  text(writer, 1, document["swagger"]);
  message(writer, 2, () => {
    const info = object(document["info"]);
    text(writer, 1, info["title"]);
    text(writer, 2, info["version"]);
  });
  message(writer, 8, () => named(writer, 2, object(document["paths"]), (path) => writePath(writer, path)));
  message(writer, 9, () => named(writer, 1, object(document["definitions"]), (schema) => writeSchema(writer, schema)));
  return writer.finish();
}

const methodFields = { get: 2, put: 3, post: 4, delete: 5, patch: 8 } as const;

function writePath(writer: BinaryWriter, path: JsonObject): void {
  for (const [method, field] of Object.entries(methodFields)) {
    if (path[method] !== undefined) message(writer, field, () => writeOperation(writer, object(path[method])));
  }
  for (const parameter of list(path["parameters"])) message(writer, 9, () => writeParameter(writer, object(parameter)));
}

function writeOperation(writer: BinaryWriter, operation: JsonObject): void {
  text(writer, 5, operation["operationId"]);
  for (const type of list(operation["produces"])) text(writer, 6, type);
  for (const type of list(operation["consumes"])) text(writer, 7, type);
  for (const parameter of list(operation["parameters"]))
    message(writer, 8, () => writeParameter(writer, object(parameter)));
  message(writer, 9, () =>
    named(writer, 1, object(operation["responses"]), (response) =>
      message(writer, 1, () => {
        text(writer, 1, response["description"]);
        message(writer, 2, () => message(writer, 1, () => writeSchema(writer, object(response["schema"]))));
      }),
    ),
  );
  for (const scheme of list(operation["schemes"])) text(writer, 10, scheme);
  writeExtensions(writer, 13, operation);
}

/** A ParametersItem: parameter (1), and in it a body (1) or one of the others (2). */
function writeParameter(writer: BinaryWriter, parameter: JsonObject): void {
  const { name, in: place, type, required, schema } = parameter;
  message(writer, 1, () => {
    if (place === "body") {
      message(writer, 1, () => {
        text(writer, 2, name);
        text(writer, 3, place);
        flag(writer, 4, required);
        message(writer, 5, () => writeSchema(writer, object(schema)));
      });
      return;
    }
    message(writer, 2, () => {
      const isPath = place === "path";
      message(writer, isPath ? 4 : 3, () => {
        flag(writer, 1, required);
        text(writer, 2, place);
        text(writer, 4, name);
        text(writer, isPath ? 5 : 6, type);
        flag(writer, isPath ? 19 : 20, parameter["uniqueItems"]);
      });
    });
  });
}

function writeSchema(writer: BinaryWriter, schema: JsonObject): void {
  text(writer, 1, schema["$ref"]);
  text(writer, 2, schema["format"]);
  text(writer, 4, schema["description"]);
  if (schema["default"] !== undefined) message(writer, 5, () => writeAny(writer, schema["default"]));
  for (const name of list(schema["required"])) text(writer, 19, name);
  for (const value of list(schema["enum"])) message(writer, 20, () => writeAny(writer, value));
  if (schema["additionalProperties"] !== undefined) {
    message(writer, 21, () => message(writer, 1, () => writeSchema(writer, object(schema["additionalProperties"]))));
  }
  if (schema["type"] !== undefined) message(writer, 22, () => text(writer, 1, schema["type"]));
  if (schema["items"] !== undefined)
    message(writer, 23, () => message(writer, 1, () => writeSchema(writer, object(schema["items"]))));
  if (schema["properties"] !== undefined) {
    message(writer, 25, () =>
      named(writer, 1, object(schema["properties"]), (property) => writeSchema(writer, property)),
    );
  }
  writeExtensions(writer, 31, schema);
}

function writeExtensions(writer: BinaryWriter, field: number, holder: JsonObject): void {
  for (const [name, value] of Object.entries(holder)) {
    if (!name.startsWith("x-")) continue;
    message(writer, field, () => {
      text(writer, 1, name);
      message(writer, 2, () => writeAny(writer, value));
    });
  }
}

/** Any value as YAML text, of which JSON is a part. */
function writeAny(writer: BinaryWriter, value: unknown): void {
  text(writer, 2, JSON.stringify(value));
}

/** One {name = 1, value = 2} message per member. */
function named(writer: BinaryWriter, field: number, members: JsonObject, write: (value: JsonObject) => void): void {
  for (const [name, value] of Object.entries(members)) {
    message(writer, field, () => {
      text(writer, 1, name);
      message(writer, 2, () => write(object(value)));
    });
  }
}

const lengthDelimited = 2;
const varint = 0;

function message(writer: BinaryWriter, field: number, write: () => void): void {
  writer.tag(field, lengthDelimited).fork();
  write();
  writer.join();
}

function text(writer: BinaryWriter, field: number, value: unknown): void {
  if (typeof value === "string" && value !== "") writer.tag(field, lengthDelimited).string(value);
}

function flag(writer: BinaryWriter, field: number, value: unknown): void {
  if (value === true) writer.tag(field, varint).bool(true);
}

function object(value: unknown): JsonObject {
  return isObject(value) ? value : {};
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
