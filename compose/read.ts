// Reads values of a Compose file's tree. What is wrong, and what has no equivalent, is gathered with its place, so that a user sees
// all of it at once.
import { nearest } from "../lib/similar.ts";
import { asMap } from "./merge.ts";
import type { MapNode, Node, Place } from "./nodes.ts";

export interface Finding {
  /** A notice tells of what is left out or done otherwise; an error ends the conversion. */
  readonly severity: "error" | "notice";
  readonly place: Place;
  readonly message: string;
}

/** What one key of a map does; the key's value is given. */
export interface Field<T> {
  (target: T, node: Node, reader: Reader, key: string): void;
  /** Why it does nothing, when it does. */
  readonly leftOut?: string;
}
export type Fields<T> = Readonly<Record<string, Field<T>>>;

export class Reader {
  readonly findings: Finding[] = [];

  fail(place: Place, message: string): undefined {
    this.findings.push({ severity: "error", place, message });
  }

  note(place: Place, message: string): undefined {
    this.findings.push({ severity: "notice", place, message });
  }

  /** Calls the field of every key; unknown keys are errors, those that begin with "x-" are left alone. */
  fields<T>(node: Node, what: string, fields: Fields<T>, target: T): void {
    const map = this.map(node, what);
    if (map === undefined) return;
    for (const [key, value] of map.entries) {
      const field = Object.hasOwn(fields, key) ? fields[key] : undefined;
      if (field !== undefined) {
        if (value.type !== "scalar" || value.value !== null || key in nullable) field(target, value, this, key);
      } else if (!key.startsWith("x-")) {
        const meant = nearest(key, Object.keys(fields));
        this.fail(
          map.keys.get(key) ?? value.place,
          `${what} has no key ${key}${meant === undefined ? "" : `: did you mean ${meant}?`}`,
        );
      }
    }
  }

  map(node: Node, what: string): MapNode | undefined {
    return node.type === "map" ? node : this.#expected(node, what, "a map");
  }

  list(node: Node, what: string): readonly Node[] {
    return node.type === "list" ? node.items : (this.#expected(node, what, "a list") ?? []);
  }

  text(node: Node, what: string): string | undefined {
    if (node.type !== "scalar" || node.value === null) return this.#expected(node, what, "a text");
    return String(node.value);
  }

  /** One text, or a list of them. */
  texts(node: Node, what: string): readonly string[] {
    const items = node.type === "list" ? node.items : [node];
    return items.flatMap((item) => this.text(item, what) ?? []);
  }

  /** NAME=value as a list or as a map; null is a name without a value. */
  keyValues(node: Node, what: string): readonly (readonly [name: string, value: string | undefined, place: Place])[] {
    if (node.type === "scalar") return this.#expected(node, what, "a map or a list of NAME=value") ?? [];
    const map = asMap(node);
    return [...map.entries].flatMap(([name, value]) => {
      if (value.type !== "scalar") return this.#expected(value, `${what}.${name}`, "a text") ?? [];
      const place = map.keys.get(name) ?? value.place;
      return [[name, value.value === null ? undefined : String(value.value), place] as const];
    });
  }

  boolean(node: Node, what: string): boolean | undefined {
    const value = node.type === "scalar" ? node.value : undefined;
    if (typeof value === "boolean") return value;
    if (value === "true" || value === "false") return value === "true";
    return this.#expected(node, what, "true or false");
  }

  /** A whole number from `min` on. */
  integer(node: Node, what: string, min = 0): number | undefined {
    const value = this.number(node, what);
    if (value === undefined) return undefined;
    return Number.isSafeInteger(value) && value >= min
      ? value
      : this.#expected(node, what, `a whole number from ${min} on`);
  }

  number(node: Node, what: string): number | undefined {
    const value = node.type === "scalar" && node.value !== null && node.value !== "" ? Number(node.value) : Number.NaN;
    return Number.isFinite(value) ? value : this.#expected(node, what, "a number");
  }

  /** Seconds of a duration such as 1m30s or 500ms. */
  seconds(node: Node, what: string): number | undefined {
    const text = node.type === "scalar" ? String(node.value) : "";
    if (!/^(\d+(\.\d+)?(us|ms|s|m|h))+$/.test(text)) return this.#expected(node, what, "a duration such as 1m30s");
    return [...text.matchAll(/([\d.]+)(us|ms|s|m|h)/g)].reduce(
      (sum, [, count, unit]) => sum + Number(count) * (secondsOf[unit ?? ""] ?? 0),
      0,
    );
  }

  /** Bytes of a size such as 64m, 1.5gb or 1048576. */
  bytes(node: Node, what: string): number | undefined {
    const [, count, unit = ""] =
      /^(\d+(?:\.\d+)?)\s*([bkmgt]?)(?:i?b)?$/i.exec(node.type === "scalar" ? String(node.value) : "") ?? [];
    if (count === undefined) return this.#expected(node, what, "a size such as 64m or 1gb");
    return Math.round(Number(count) * 1024 ** "bkmgt".indexOf(unit.toLowerCase() || "b"));
  }

  /** One of these words. */
  word<T extends string>(node: Node, what: string, words: readonly T[]): T | undefined {
    const value = node.type === "scalar" ? String(node.value) : undefined;
    return words.find((word) => word === value) ?? this.#expected(node, what, `one of ${words.join(", ")}`);
  }

  #expected(node: Node, what: string, expected: string): undefined {
    const got = node.type === "scalar" ? JSON.stringify(node.value) : `a ${node.type}`;
    return this.fail(node.place, `${what} takes ${expected}, got ${got}`);
  }
}

/** Keys that mean something with nothing after them. */
const nullable: Readonly<Record<string, true>> = { entrypoint: true, command: true };
const secondsOf: Readonly<Record<string, number>> = { us: 1e-6, ms: 1e-3, s: 1, m: 60, h: 3600 };

/** A field that is understood and has no equivalent here. */
export function without<T>(reason: string): Field<T> {
  const field = (_target: T, node: Node, reader: Reader, key: string) =>
    reader.note(node.place, `${key} is left out: ${reason}`);
  return Object.assign(field, { leftOut: reason });
}
