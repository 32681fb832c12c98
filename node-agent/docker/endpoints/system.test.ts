// Events for a client that has stopped reading.
import { deepEqual, rejects } from "node:assert/strict";
import { Writable } from "node:stream";
import { test } from "node:test";
import { virtualClock } from "../../../lib/virtual-clock.ts";
import type { Door } from "../door.ts";
import { Events } from "../events.ts";
import { Query } from "../http/query.ts";
import type { Call } from "../http/reply.ts";
import { systemRoutes } from "./system.ts";

async function listen(out: Writable) {
  const clock = virtualClock();
  const events = new Events(clock);
  const routes = new Map(systemRoutes({ parts: { clock, events } } as unknown as Door));
  const { signal } = new AbortController();
  const reply = await routes.get("GET /events")?.({ query: new Query(""), signal } as unknown as Call);
  if (reply?.type !== "stream") throw new Error("events come as a stream");
  const written = reply.write(out, signal);
  written.catch(() => {});
  return { events, written };
}

test("GET /events gives up a client that reads nothing", async () => {
  const { events, written } = await listen(new Writable({ highWaterMark: 1, write: () => {} }));
  for (let i = 0; i <= 4096; i++) events.emit("image", "pull", `i${i}`, {});
  await rejects(written, /does not read its events/);
  deepEqual(events.listeners, 0);
});
