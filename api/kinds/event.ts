// What a Event does beyond its schema.
import { events } from "./generated/resources.ts";
import type { Event } from "./generated/types.ts";
import type { Kind } from "./kind.ts";

export const eventKind: Kind<Event> = { resource: events, columns: [], selectableFields: {} };
