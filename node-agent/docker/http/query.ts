// Query parameters as Docker's clients send them: flags as 1 or true, filters as JSON.
import { JsonObject, parseJson } from "./json.ts";
import { badRequest } from "./problem.ts";

/** Filter values by name; several values of one name are alternatives, several names must all hold. */
export type Filters = ReadonlyMap<string, readonly string[]>;

export class Query {
  readonly #values: URLSearchParams;

  constructor(text: string) {
    this.#values = new URLSearchParams(text);
  }

  text(name: string, absent = ""): string {
    return this.#values.get(name) ?? absent;
  }

  texts(name: string): readonly string[] {
    return this.#values.getAll(name);
  }

  has(name: string): boolean {
    return this.#values.has(name);
  }

  flag(name: string, absent = false): boolean {
    const value = this.#values.get(name);
    if (value === null) return absent;
    return !["", "0", "no", "false", "none"].includes(value.trim().toLowerCase());
  }

  number(name: string): number | undefined {
    const value = this.#values.get(name);
    if (value === null || value === "") return undefined;
    if (!/^-?\d+(?:\.\d+)?$/.test(value)) throw badRequest(`${name}: expected a number, got ${JSON.stringify(value)}`);
    return Number(value);
  }

  /** Refuses names that the endpoint does not know. */
  filters(known: readonly string[]): Filters {
    const text = this.text("filters");
    if (text === "") return new Map();
    const object = new JsonObject(parseJson(text), "filters");
    return new Map(
      object.keys().map((name) => {
        if (!known.includes(name)) throw badRequest(`invalid filter '${name}'`);
        // {"label": ["a"]} of old, {"label": {"a": true}} of now.
        return [name, Array.isArray(object.raw(name)) ? object.texts(name) : object.names(name)];
      }),
    );
  }
}

/** True when the filter is absent or one of its values fits. */
export function anyOf(filters: Filters, name: string, fits: (value: string) => boolean): boolean {
  const values = filters.get(name);
  return values === undefined || values.length === 0 || values.some(fits);
}

/** Label filters hold together, each as "key" or "key=value". */
export function labelsFit(filters: Filters, labels: Readonly<Record<string, string>>, name = "label"): boolean {
  return (filters.get(name) ?? []).every((wanted) => {
    const at = wanted.indexOf("=");
    const key = at < 0 ? wanted : wanted.slice(0, at);
    return Object.hasOwn(labels, key) && (at < 0 || labels[key] === wanted.slice(at + 1));
  });
}

/** "label!=key" of prune. */
export function labelsAbsent(filters: Filters, labels: Readonly<Record<string, string>>): boolean {
  return (filters.get("label!") ?? []).every((one) => !labelsFit(new Map([["label", [one]]]), labels));
}

/** A time of `--since` and `--until`: seconds since the epoch with a fraction, RFC 3339, or a duration before now. In ms. */
export function parseTime(text: string, nowMs: number): number | undefined {
  if (text === "") return undefined;
  if (/^-?\d+(?:\.\d+)?$/.test(text)) return Number(text) * 1000;
  const durationMs = parseDuration(text);
  if (durationMs !== undefined) return nowMs - durationMs;
  const at = Date.parse(text);
  if (Number.isNaN(at))
    throw badRequest(`time ${JSON.stringify(text)}: expected seconds, RFC 3339 or a duration like 10m`);
  return at;
}

/** Go's durations, such as "1h30m"; in ms. */
export function parseDuration(text: string): number | undefined {
  if (!/^(?:\d+(?:\.\d+)?(?:ms|h|m|s))+$/.test(text)) return undefined;
  const unitMs: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1000, ms: 1 };
  return [...text.matchAll(/(\d+(?:\.\d+)?)(ms|h|m|s)/g)].reduce(
    (sum, [, number, unit]) => sum + Number(number) * (unitMs[unit ?? ""] ?? 0),
    0,
  );
}
