// What every verb is given: the store and its cache, time and chance, and who asks.
import type { Clock } from "../../lib/clock.ts";
import type { Logger } from "../../lib/log.ts";
import type { Random } from "../../lib/random.ts";
import type { AddressAllocator } from "../allocation/allocator.ts";
import type { User } from "../authentication/user.ts";
import type { WatchCache } from "../cache/watch-cache.ts";
import type { Kind } from "../kinds/kind.ts";
import type { Store } from "../store/store.ts";
import type { EventLeases } from "./event-leases.ts";

export interface Context {
  readonly store: Store;
  readonly cache: WatchCache;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly allocator: AddressAllocator;
  readonly eventLeases: EventLeases;
  /** Other servers write to the same store: reads that must be the newest ask it for its revision first. */
  readonly sharedStore: boolean;
}

/** One object of a kind. */
export interface Target {
  readonly kind: Kind;
  /** Absent for kinds without namespaces. */
  readonly namespace?: string;
  readonly name: string;
}

/** All objects of a kind, of one namespace or of all. */
export interface Collection {
  readonly kind: Kind;
  readonly namespace?: string;
}

export type FieldValidation = "Ignore" | "Warn" | "Strict";

/** What all writes take beside the object. */
export interface WriteOptions {
  readonly user: User;
  readonly dryRun?: boolean;
  readonly fieldValidation?: FieldValidation;
  readonly fieldManager?: string;
  /** Told what the user should know: it becomes a Warning header. */
  readonly warn?: (message: string) => void;
}

/** The object's key in cache and store: "namespace/name" or "name". */
export function targetKey({ kind, namespace, name }: Target): string {
  return kind.resource.namespaced ? `${namespace ?? ""}/${name}` : name;
}
