// Containers: made, listed, looked at, started, ended, changed, removed.
import {
  checkContainerFilters,
  containerFits,
  inspectContainer,
  listFilters,
  summarizeContainer,
} from "../containers/inspect.ts";
import type { ContainerRecord } from "../containers/record.ts";
import type { Door } from "../door.ts";
import { badRequest, conflict } from "../http/problem.ts";
import type { Query } from "../http/query.ts";
import { empty, json, type Route, readJson, writeTo } from "../http/reply.ts";
import { checkPlatform } from "../images/platform.ts";

const waitConditions: readonly string[] = ["not-running", "next-exit", "removed"];
const pruneFilters = ["until", "label", "label!"];

export function containerRoutes(door: Door): readonly Route[] {
  const { containers } = door;
  const { life } = containers;
  const find = (params: Readonly<Record<string, string>>) => containers.find(params["id"] ?? "");
  // "web/db" is the name by which web knows db.
  const removeLink = (text: string) => {
    const [, container = "", alias] = /^\/?([^/]+)(?:\/([^/]+))?$/.exec(text) ?? [];
    const { id } = containers.find(container);
    if (alias === undefined) throw conflict("Conflict, cannot remove the default link name of the container");
    containers.unlink(id, alias);
  };
  return [
    [
      "POST /containers/create",
      async (call) => {
        const body = await readJson(call);
        await checkImagePlatform(door, body.text("Image"), call.query);
        const { record, warnings } = await containers.create(body, call.query.text("name"));
        return json({ Id: record.id, Warnings: warnings }, 201);
      },
    ],
    ["GET /containers/json", async ({ query }) => json(await list(door, query))],
    [
      "GET /containers/{id}/json",
      async ({ params, query }) => json(await inspect(door, find(params), query.flag("size"))),
    ],
    [
      "POST /containers/{id}/start",
      async ({ params }) => empty((await containers.start(find(params).id)) === "runs" ? 304 : 204),
    ],
    [
      "POST /containers/{id}/stop",
      async ({ params, query }) => {
        const how = await containers.stop(find(params).id, stopOptions(query));
        return empty(how === "idle" ? 304 : 204);
      },
    ],
    [
      "POST /containers/{id}/restart",
      async ({ params, query }) => {
        await containers.restart(find(params).id, stopOptions(query));
        return empty();
      },
    ],
    [
      "POST /containers/{id}/kill",
      async ({ params, query }) => {
        await containers.kill(find(params).id, query.text("signal"));
        return empty();
      },
    ],
    [
      "POST /containers/{id}/pause",
      async ({ params }) => {
        await containers.pause(find(params).id);
        return empty();
      },
    ],
    [
      "POST /containers/{id}/unpause",
      async ({ params }) => {
        await containers.unpause(find(params).id);
        return empty();
      },
    ],
    [
      "POST /containers/{id}/rename",
      async ({ params, query }) => {
        containers.rename(find(params).id, query.text("name"));
        return empty();
      },
    ],
    [
      "POST /containers/{id}/update",
      async (call) => {
        await containers.update(find(call.params).id, await readJson(call));
        return json({ Warnings: [] });
      },
    ],
    [
      "DELETE /containers/{id}",
      async ({ params, query }) => {
        if (query.flag("link")) removeLink(params["id"] ?? "");
        else await containers.remove(find(params).id, { force: query.flag("force"), volumes: query.flag("v") });
        return empty();
      },
    ],
    [
      "POST /containers/prune",
      async ({ query }) => {
        const { ids, bytes } = await containers.prune(query.filters(pruneFilters));
        return json({ ContainersDeleted: ids.length === 0 ? null : ids, SpaceReclaimed: bytes });
      },
    ],
    [
      "POST /containers/{id}/wait",
      async ({ params, query }) => {
        const { id } = find(params);
        const condition = query.text("condition") || "not-running";
        if (!waitConditions.includes(condition))
          throw badRequest(`invalid condition: ${JSON.stringify(condition)}: one of ${waitConditions.join(", ")}`);
        // Before the client is told to go on: what it starts next must not end unseen.
        const ended = waitFor(door, id, condition);
        return {
          type: "stream",
          contentType: "application/json",
          write: async (out, signal) => {
            const StatusCode = await ended(signal);
            await writeTo(out, `${JSON.stringify({ StatusCode })}\n`);
          },
        };
      },
    ],
  ];

  function stopOptions(query: Query) {
    return { seconds: query.number("t"), signal: query.text("signal") };
  }

  function waitFor({ parts }: Door, id: string, condition: string): (signal: AbortSignal) => Promise<number> {
    let exitCode = life.record(id).exitCode;
    const isOver = () => {
      const record = parts.store.get(id);
      if (record === undefined) return true;
      exitCode = record.exitCode;
      return condition === "not-running" && record.phase !== "running" && !life.live(id).restarting;
    };
    const stop = new AbortController();
    const next = condition === "not-running" && isOver() ? undefined : life.nextChange(id, stop.signal);
    next?.catch(() => {});
    return async (signal) => {
      signal.addEventListener("abort", () => stop.abort(signal.reason), { once: true });
      await next;
      if (condition === "next-exit") isOver();
      else while (!isOver()) await life.nextChange(id, stop.signal);
      return exitCode;
    };
  }
}

async function checkImagePlatform({ parts }: Door, reference: string, query: Query): Promise<void> {
  if (query.text("platform") === "" || (await parts.images.find(reference)) === undefined) return;
  checkPlatform(query, reference, (await parts.images.inspect(reference)).platform);
}

async function list({ containers, parts }: Door, query: Query): Promise<readonly unknown[]> {
  const filters = query.filters(listFilters);
  checkContainerFilters(filters);
  const limit = query.number("limit") ?? 0;
  const all = query.flag("all") || limit > 0 || filters.has("status") || filters.has("exited");
  const nowMs = parts.clock.now();
  const images = filters.has("ancestor")
    ? await Promise.all((filters.get("ancestor") ?? []).map((name) => parts.images.find(name)))
    : [];
  const fitting = containers
    .list()
    .toSorted((a, b) => b.createdAtMs - a.createdAtMs)
    .filter((record) => all || record.phase === "running" || containers.life.live(record.id).restarting)
    .filter((record) =>
      containerFits(record, filters, {
        live: containers.life.live(record.id),
        createdAtMs: (name) => containers.find(name).createdAtMs,
        isAncestor: (name) => record.config.Image === name || images.some((image) => image?.id === record.imageId),
      }),
    );
  const shown = limit > 0 ? fitting.slice(0, limit) : fitting;
  return Promise.all(
    shown.map(async (record) => {
      const size = query.flag("size") ? await sizes(parts.images, containers.sizeOf(record), record) : undefined;
      return summarizeContainer(record, { live: containers.life.live(record.id), nowMs, size });
    }),
  );
}

async function inspect({ containers, parts }: Door, record: ContainerRecord, withSize: boolean): Promise<unknown> {
  const shown = inspectContainer(record, {
    live: containers.life.live(record.id),
    nowMs: parts.clock.now(),
    folder: parts.store.folder(record.id),
    logPath: containers.logPath(record),
    networkName: (id) => parts.networks.nameOf(id),
  });
  return withSize ? { ...(shown as object), ...(await sizes(parts.images, containers.sizeOf(record), record)) } : shown;
}

async function sizes(
  images: Door["parts"]["images"],
  own: Promise<number>,
  { imageId }: ContainerRecord,
): Promise<object> {
  const SizeRw = await own;
  return { SizeRw, SizeRootFs: SizeRw + ((await images.find(imageId))?.sizeBytes ?? 0) };
}
