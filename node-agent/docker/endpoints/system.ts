// Ping, version, info, events: what a client asks first.
import type { Door } from "../door.ts";
import { eventFilters, eventFits } from "../events.ts";
import { badRequest } from "../http/problem.ts";
import { parseTime } from "../http/query.ts";
import { empty, json, jsonLines, type Route } from "../http/reply.ts";
import { apiVersion } from "../http/server.ts";
import { systemInfo, systemVersion } from "../machine.ts";

/** More than are kept: whoever asks for those gets them. */
const waitingMax = 4096;

export function systemRoutes(door: Door): readonly Route[] {
  const { parts, containers, machine } = door;
  const uncached = { "Cache-Control": "no-cache, no-store, must-revalidate", Pragma: "no-cache" };
  return [
    [
      "GET /_ping",
      async () => ({
        type: "whole",
        status: 200,
        contentType: "text/plain; charset=utf-8",
        body: "OK",
        headers: uncached,
      }),
    ],
    ["HEAD /_ping", async () => ({ ...empty(200), headers: uncached })],
    ["GET /version", async () => json(systemVersion(machine, apiVersion))],
    [
      "GET /info",
      async () => {
        const all = containers.list();
        const running = all.filter(({ phase }) => phase === "running");
        const paused = running.filter((record) => record.paused).length;
        const counts = {
          running: running.length - paused,
          paused,
          stopped: all.length - running.length,
          images: (await parts.images.list()).length,
          listeners: parts.events.listeners,
        };
        return json(systemInfo(machine, counts, parts.clock.now()));
      },
    ],
    [
      "GET /events",
      async ({ query, signal }) => {
        const filters = query.filters(eventFilters);
        const nowMs = parts.clock.now();
        const sinceMs = parseTime(query.text("since"), nowMs);
        const untilMs = parseTime(query.text("until"), nowMs);
        if (sinceMs !== undefined && untilMs !== undefined && untilMs < sinceMs)
          throw badRequest("`since` time cannot be after `until` time");
        return jsonLines(async (send) => {
          const ended = Promise.withResolvers<void>();
          let sending: Promise<void> = Promise.resolve();
          let waiting = 0;
          const tell = (event: Parameters<typeof eventFits>[0]) => {
            if (!eventFits(event, filters)) return;
            if (untilMs !== undefined && event.timeNano > untilMs * 1e6) return;
            if (++waiting > waitingMax) ended.reject(new Error("the client does not read its events"));
            else
              sending = sending
                .then(() => send(event))
                .catch(() => {})
                .finally(() => waiting--);
          };
          using _listening = parts.events.listen(tell);
          if (sinceMs !== undefined) for (const event of parts.events.since(sinceMs)) tell(event);
          const waitMs = untilMs === undefined ? undefined : untilMs - nowMs;
          const timer = waitMs === undefined ? undefined : parts.clock.after(Math.max(0, waitMs), ended.resolve);
          signal.addEventListener("abort", () => ended.resolve(), { once: true });
          if (signal.aborted) ended.resolve();
          await ended.promise.finally(() => timer?.cancel());
          await sending;
        });
      },
    ],
  ];
}
