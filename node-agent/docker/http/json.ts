// Bodies and filters of requests: unknown JSON in, values of known types out, with the place of what is wrong.
import { badRequest } from "./problem.ts";

/** An object of a request; what is absent and what is null are the same. */
export class JsonObject {
  readonly #value: Readonly<Record<string, unknown>>;
  readonly #path: string;

  constructor(value: unknown, path = "") {
    if (typeof value !== "object" || value === null || Array.isArray(value))
      throw badRequest(`${path === "" ? "the body" : path}: expected an object, got ${kindOf(value)}`);
    this.#value = value as Readonly<Record<string, unknown>>;
    this.#path = path;
  }

  keys(): readonly string[] {
    return Object.keys(this.#value);
  }

  raw(key: string): unknown {
    return Object.hasOwn(this.#value, key) ? (this.#value[key] ?? undefined) : undefined;
  }

  has(key: string): boolean {
    return this.raw(key) !== undefined;
  }

  text(key: string, absent = ""): string {
    return this.optionalText(key) ?? absent;
  }

  optionalText(key: string): string | undefined {
    return this.#typed(key, "string", (value) => typeof value === "string") as string | undefined;
  }

  number(key: string, absent = 0): number {
    return this.optionalNumber(key) ?? absent;
  }

  optionalNumber(key: string): number | undefined {
    return this.#typed(key, "number", (value) => typeof value === "number" && Number.isFinite(value)) as
      | number
      | undefined;
  }

  flag(key: string, absent = false): boolean {
    return (this.#typed(key, "boolean", (value) => typeof value === "boolean") as boolean | undefined) ?? absent;
  }

  texts(key: string): readonly string[] {
    return this.optionalTexts(key) ?? [];
  }

  /** A single text stands for a list of one, as Docker takes it for commands. */
  optionalTexts(key: string): readonly string[] | undefined {
    const value = this.raw(key);
    if (typeof value === "string") return [value];
    if (value !== undefined && !(Array.isArray(value) && value.every((one) => typeof one === "string")))
      throw badRequest(`${this.at(key)}: expected a list of strings, got ${kindOf(value)}`);
    return value;
  }

  numbers(key: string): readonly number[] {
    const value = this.raw(key) ?? [];
    if (!(Array.isArray(value) && value.every((one) => typeof one === "number")))
      throw badRequest(`${this.at(key)}: expected a list of numbers, got ${kindOf(value)}`);
    return value;
  }

  textMap(key: string): Readonly<Record<string, string>> {
    const object = this.optionalObject(key);
    return object === undefined ? {} : Object.fromEntries(object.keys().map((name) => [name, object.text(name)]));
  }

  /** Names of a map whose values say nothing, such as ExposedPorts. */
  names(key: string): readonly string[] {
    return this.optionalObject(key)?.keys() ?? [];
  }

  object(key: string): JsonObject {
    return this.optionalObject(key) ?? new JsonObject({}, this.at(key));
  }

  optionalObject(key: string): JsonObject | undefined {
    const value = this.raw(key);
    return value === undefined ? undefined : new JsonObject(value, this.at(key));
  }

  objects(key: string): readonly JsonObject[] {
    const value = this.raw(key) ?? [];
    if (!Array.isArray(value)) throw badRequest(`${this.at(key)}: expected a list, got ${kindOf(value)}`);
    return value.map((one, i) => new JsonObject(one, `${this.at(key)}[${i}]`));
  }

  /** The field's place in the body, for texts of refusals. */
  at(key: string): string {
    return this.#path === "" ? key : `${this.#path}.${key}`;
  }

  #typed(key: string, expected: string, fits: (value: unknown) => boolean): unknown {
    const value = this.raw(key);
    if (value !== undefined && !fits(value))
      throw badRequest(`${this.at(key)}: expected a ${expected}, got ${kindOf(value)}`);
    return value;
  }
}

export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw badRequest(`the body is not JSON: ${(error as Error).message}`);
  }
}

function kindOf(value: unknown): string {
  if (value === null || value === undefined) return "nothing";
  if (Array.isArray(value)) return "a list";
  return typeof value === "object" ? "an object" : `${typeof value} ${JSON.stringify(value)}`;
}
