// Images: listed, looked at, named, removed.

import type { ImageDetails, Removal } from "../../images/library.ts";
import type { Door } from "../door.ts";
import { badRequest } from "../http/problem.ts";
import { anyOf, type Filters, labelsAbsent, labelsFit, parseTime, type Query } from "../http/query.ts";
import { empty, json, type Route } from "../http/reply.ts";
import { asking } from "../images/image-problem.ts";
import { familiarName, joinReference, matchesReference } from "../images/names.ts";
import { checkPlatform } from "../images/platform.ts";
import { createdMs, inspectImage, isDangling, showHistory, summarizeImage } from "../images/show-image.ts";

const listFilters = ["before", "dangling", "label", "reference", "since", "until"];
const isTrue = (text: string) => ["1", "true"].includes(text.toLowerCase());

export function imageRoutes(door: Door): readonly Route[] {
  const { parts, containers } = door;
  const { images } = parts;
  const inspect = async (name: string, query: Query) => {
    const details = await asking(images.inspect(name));
    checkPlatform(query, name, details.platform);
    return details;
  };
  return [
    [
      "GET /images/json",
      async ({ query }) => {
        const filters = query.filters(listFilters);
        const all = await Promise.all((await images.list()).map(({ id }) => asking(images.inspect(id))));
        const fitting = await filterImages(door, all, filters);
        const users = (details: ImageDetails) =>
          containers.list().filter(({ imageId }) => imageId === details.id).length;
        return json(
          fitting
            .toSorted((a, b) => createdMs(b) - createdMs(a))
            .map((details) => summarizeImage(details, query.flag("shared-size") ? users(details) : -1, -1)),
        );
      },
    ],
    [
      "GET /images/{name}/json",
      async ({ params, query }) => json(inspectImage(await inspect(params["name"] ?? "", query))),
    ],
    [
      "GET /images/{name}/history",
      async ({ params, query }) => {
        const { id } = await inspect(params["name"] ?? "", query);
        return json(showHistory(await asking(images.history(id))));
      },
    ],
    [
      "POST /images/{name}/tag",
      async ({ params, query }) => {
        await asking(images.tag(params["name"] ?? "", joinReference(query.text("repo"), query.text("tag"))));
        return empty(201);
      },
    ],
    [
      "DELETE /images/{name}",
      async ({ params, query }) => {
        for (const platform of query.texts("platforms"))
          throw badRequest(`platforms=${platform}: Naru keeps one platform of an image; remove the image`);
        const own = new Map(containers.list().map((record) => [record.id, record]));
        const layers = await images.listLayers();
        // Those of pods count as running: nobody but the cluster knows.
        const running = layers
          .map(({ containerId }) => containerId)
          .filter((id) => own.get(id)?.phase !== "exited" && own.get(id)?.phase !== "created");
        const removed = await asking(
          images.removeImage(params["name"] ?? "", { force: query.flag("force"), running: new Set(running) }),
        );
        return json(removed.map(showRemoval));
      },
    ],
    [
      "POST /images/prune",
      async ({ query }) => {
        const filters = query.filters(["dangling", "until", "label", "label!"]);
        const untilMs = parseTime(filters.get("until")?.[0] ?? "", parts.clock.now());
        const { removed, freedBytes } = await asking(
          images.prune({
            all: !(filters.get("dangling") ?? ["true"]).some(isTrue),
            ...(untilMs === undefined ? {} : { untilMs }),
            matches: ({ config }) => labelsFit(filters, config.labels) && labelsAbsent(filters, config.labels),
          }),
        );
        return json({
          ImagesDeleted: removed.length === 0 ? null : removed.map(showRemoval),
          SpaceReclaimed: freedBytes,
        });
      },
    ],
  ];
}

function showRemoval(removal: Removal): object {
  return "deleted" in removal ? { Deleted: removal.deleted } : { Untagged: familiarName(removal.untagged) };
}

async function filterImages(
  { parts }: Door,
  all: readonly ImageDetails[],
  filters: Filters,
): Promise<readonly ImageDetails[]> {
  const createdOf = async (name: string | undefined) =>
    name === undefined ? undefined : createdMs(await asking(parts.images.inspect(name)));
  const [beforeMs, sinceMs] = await Promise.all([
    createdOf(filters.get("before")?.[0]),
    createdOf(filters.get("since")?.[0]),
  ]);
  const untilMs = parseTime(filters.get("until")?.[0] ?? "", parts.clock.now());
  const named = (name: string) => anyOf(filters, "reference", (value) => matchesReference(value, name));
  const fitting = all.filter((details) => {
    const ms = createdMs(details);
    return (
      (beforeMs === undefined || ms < beforeMs) &&
      (sinceMs === undefined || ms > sinceMs) &&
      (untilMs === undefined || ms < untilMs) &&
      labelsFit(filters, details.config.labels) &&
      anyOf(filters, "dangling", (value) => isTrue(value) === isDangling(details)) &&
      (!filters.has("reference") || [...details.tags, ...details.digests].some(named))
    );
  });
  // Of an image with several names those are shown that were asked for.
  return fitting.map((details) => ({
    ...details,
    tags: details.tags.filter(named),
    digests: details.digests.filter(named),
  }));
}
