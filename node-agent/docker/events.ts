// What happens to containers, images, networks and volumes: kept for a while, told to those who listen.
import type { Clock } from "../../lib/clock.ts";
import { anyOf, type Filters } from "./http/query.ts";

export interface DockerEvent {
  readonly Type: "container" | "image" | "network" | "volume" | "daemon" | "builder";
  readonly Action: string;
  readonly Actor: { readonly ID: string; readonly Attributes: Readonly<Record<string, string>> };
  readonly scope: "local";
  readonly time: number;
  readonly timeNano: number;
  /** Of old: the same again for containers and images. */
  readonly status?: string;
  readonly id?: string;
  readonly from?: string;
}

const keptMax = 1024;

export class Events {
  readonly #clock: Clock;
  readonly #kept: DockerEvent[] = [];
  readonly #listeners = new Set<(event: DockerEvent) => void>();
  #lastNano = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  emit(Type: DockerEvent["Type"], Action: string, ID: string, Attributes: Readonly<Record<string, string>>): void {
    const nowMs = this.#clock.now();
    // Each its own time, so that none is lost by those who ask from a time on. Microseconds: what a number holds exactly.
    this.#lastNano = Math.max(nowMs * 1e6, this.#lastNano + 1000);
    const old = Type === "container" || Type === "image" ? { status: Action, id: ID } : {};
    const image = Attributes["image"];
    const event: DockerEvent = {
      ...old,
      ...(Type === "container" && image !== undefined ? { from: image } : {}),
      Type,
      Action,
      Actor: { ID, Attributes },
      scope: "local",
      time: Math.floor(nowMs / 1000),
      timeNano: this.#lastNano,
    };
    this.#kept.push(event);
    if (this.#kept.length > keptMax) this.#kept.shift();
    for (const listener of this.#listeners) listener(event);
  }

  since(ms: number): readonly DockerEvent[] {
    return this.#kept.filter(({ timeNano }) => timeNano >= ms * 1e6);
  }

  listen(listener: (event: DockerEvent) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  get listeners(): number {
    return this.#listeners.size;
  }
}

export const eventFilters = [
  ...["container", "daemon", "event", "image", "label", "network", "scope", "type", "volume", "builder"],
  ...["config", "node", "plugin", "secret", "service"],
];

export function eventFits(event: DockerEvent, filters: Filters): boolean {
  const { Type, Action, Actor } = event;
  const { name = "" } = Actor.Attributes;
  const isActor = (type: DockerEvent["Type"]) => (value: string) =>
    Type === type && (Actor.ID === value || name === value || (value.length > 3 && Actor.ID.startsWith(value)));
  return (
    anyOf(filters, "type", (value) => Type === value) &&
    anyOf(filters, "scope", (value) => value === event.scope) &&
    // "exec_create: sh" and "health_status: healthy" are asked for by what stands before the colon, too.
    anyOf(filters, "event", (value) => Action === value || Action.startsWith(`${value}:`)) &&
    anyOf(filters, "container", isActor("container")) &&
    anyOf(filters, "image", (value) =>
      Type === "image" ? isActor("image")(value) : Actor.Attributes["image"] === value,
    ) &&
    anyOf(filters, "network", isActor("network")) &&
    anyOf(filters, "volume", isActor("volume")) &&
    ["config", "node", "plugin", "secret", "service"].every((none) => (filters.get(none) ?? []).length === 0) &&
    (filters.get("label") ?? []).every((label) => {
      const [key = "", ...rest] = label.split("=");
      const value = Actor.Attributes[key];
      return value !== undefined && (rest.length === 0 || value === rest.join("="));
    })
  );
}
