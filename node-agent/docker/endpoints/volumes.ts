// Volumes.
import type { Door } from "../door.ts";
import { DockerProblem, notFound } from "../http/problem.ts";
import { anyOf, labelsAbsent, labelsFit } from "../http/query.ts";
import { empty, json, type Route, readJson } from "../http/reply.ts";

const listFilters = ["dangling", "driver", "label", "name"];

export function volumeRoutes({ parts }: Door): readonly Route[] {
  const { volumes, events } = parts;
  const destroy = async (name: string) => {
    await volumes.remove(name);
    events.emit("volume", "destroy", name, { driver: "local" });
  };
  return [
    [
      "GET /volumes",
      async ({ query }) => {
        const filters = query.filters(listFilters);
        const fitting = volumes
          .list()
          .filter(
            ({ name, labels }) =>
              labelsFit(filters, labels) &&
              anyOf(filters, "name", (value) => name.includes(value)) &&
              anyOf(filters, "driver", (value) => value === "local") &&
              anyOf(
                filters,
                "dangling",
                (value) => ["1", "true"].includes(value) === (volumes.usersOf(name).length === 0),
              ),
          );
        return json({ Volumes: fitting.map((volume) => volumes.show(volume)), Warnings: null });
      },
    ],
    [
      "POST /volumes/create",
      async (call) => {
        const volume = volumes.create(await readJson(call));
        events.emit("volume", "create", volume.name, { driver: "local" });
        return json(volumes.show(volume), 201);
      },
    ],
    ["GET /volumes/{name}", async ({ params }) => json(volumes.show(volumes.find(params["name"] ?? "")))],
    [
      "PUT /volumes/{name}",
      async () => {
        throw new DockerProblem(503, "only volumes of a swarm's cluster can be changed: Naru has no swarm mode");
      },
    ],
    [
      "DELETE /volumes/{name}",
      async ({ params, query }) => {
        const name = params["name"] ?? "";
        const isThere = volumes.list().some((volume) => volume.name === name);
        if (!isThere && query.flag("force")) return empty();
        if (!isThere) throw notFound(`get ${name}: no such volume`);
        await destroy(name);
        return empty();
      },
    ],
    [
      "POST /volumes/prune",
      async ({ query }) => {
        const filters = query.filters(["label", "label!", "all"]);
        const all = anyOf(filters, "all", (value) => ["1", "true"].includes(value)) && filters.has("all");
        const deleted: string[] = [];
        let SpaceReclaimed = 0;
        for (const { name, labels, anonymous } of volumes.list()) {
          if (!(all || anonymous) || volumes.usersOf(name).length > 0) continue;
          if (!labelsFit(filters, labels) || !labelsAbsent(filters, labels)) continue;
          const bytes = await volumes.sizeOf(name);
          // Somebody may have taken it meanwhile.
          if (volumes.usersOf(name).length > 0) continue;
          await destroy(name);
          SpaceReclaimed += bytes;
          deleted.push(name);
        }
        return json({ VolumesDeleted: deleted.length === 0 ? null : deleted, SpaceReclaimed });
      },
    ],
  ];
}
