// What a kind does beyond its schema. The verbs are written once over this; a kind is one file and one line in list.ts.
import type { KubeObject, Resource } from "./resource.ts";

/** One thing that is wrong with an object: its path, what came, what is allowed. */
export interface FieldError {
  /** "spec.template.spec.containers[0].image" */
  readonly field: string;
  readonly type:
    | "required"
    | "invalid"
    | "unsupported"
    | "duplicate"
    | "forbidden"
    | "immutable"
    | "tooLong"
    | "tooMany"
    | "unknown"
    | "type";
  /** As a user reads it, without the path: `Invalid value: "x": must be …`. */
  readonly message: string;
}

/** What a kind may use while it prepares an object; everything else stays out so that kinds are pure. */
export interface KindContext {
  readonly nowMs: number;
  /** Free addresses and ports for Services; refuses with ApiError. */
  readonly allocate: Allocate;
}

export interface Allocate {
  clusterIp(wanted: string | undefined, place: Place): string;
  nodePort(wanted: number | undefined, place: Place): number;
}

/** Where what is wanted stands, for a refusal to name. */
export interface Place {
  /** Of the object. */
  readonly name: string;
  /** "spec.ports[1].nodePort" */
  readonly field: string;
}

export interface Column<T extends KubeObject> {
  readonly name: string;
  readonly type: "string" | "integer" | "date" | "boolean";
  readonly format?: string;
  readonly description: string;
  /** 0: always shown; 1: with -o wide only. */
  readonly priority: 0 | 1;
  readonly cell: (object: T, nowMs: number) => string | number | boolean;
}

/** A subresource that changes one part of its object and is read as the whole of it: "pods/ephemeralcontainers". */
export interface Part<T extends KubeObject> {
  /** The object with this part as `wanted` has it, and all else as it was. */
  readonly prepare: (wanted: T, live: T) => T;
  readonly validate: (object: T, live: T) => readonly FieldError[];
}

export interface Kind<T extends KubeObject = KubeObject> {
  readonly resource: Resource<T>;
  readonly columns: readonly Column<T>[];
  /** Values for fieldSelector, metadata.name and metadata.namespace aside. */
  readonly selectableFields: Readonly<Record<string, (object: T) => string>>;
  /** Defaults that depend on other fields; after the schema's own. Returns a new object. */
  readonly defaults?: (object: T) => T;
  /** Before a new object is stored: clear status, allocate, set generation-independent fields. */
  readonly prepareCreate?: (object: T, context: KindContext) => T;
  /** Before an update of the main resource: carry over what may not change (status, allocated fields). */
  readonly prepareUpdate?: (object: T, old: T, context: KindContext) => T;
  /** Rules across fields; the schema has been checked already. */
  readonly validate?: (object: T) => readonly FieldError[];
  /** What a new object may not have yet. */
  readonly validateCreate?: (object: T) => readonly FieldError[];
  /** What an update may change. */
  readonly validateUpdate?: (object: T, old: T) => readonly FieldError[];
  /** Objects that may not be deleted, by name, and why. */
  readonly lasting?: ReadonlyMap<string, string>;
  /** By the subresource's name; status aside, which every kind may have. */
  readonly parts?: Readonly<Record<string, Part<T>>>;
  /** Fields of `spec` that Naru does not act on yet: the answer carries a warning, or refuses under strict validation. */
  readonly unsupportedFields?: readonly string[];
}
