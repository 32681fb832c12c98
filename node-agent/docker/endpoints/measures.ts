// What runs in a container and what it uses: top, stats; and what all of it takes on the disk.
import { totalmem } from "node:os";
import { sleep } from "../../../lib/clock.ts";
import { readNetworks } from "../../runtime/link-counters.ts";
import { summarizeContainer } from "../containers/inspect.ts";
import type { ContainerRecord } from "../containers/record.ts";
import { type StatsSample, showStats, systemNs } from "../containers/stats.ts";
import { bootedAtMs, planTop, readProcess } from "../containers/top.ts";
import type { Door } from "../door.ts";
import { conflict } from "../http/problem.ts";
import { json, jsonLines, type Route } from "../http/reply.ts";
import { summarizeImage } from "../images/show-image.ts";

const sampleMs = 1000;

export function measureRoutes(door: Door): readonly Route[] {
  const { parts, containers } = door;
  const find = (params: Readonly<Record<string, string>>) => containers.find(params["id"] ?? "");
  return [
    [
      "GET /containers/{id}/top",
      async ({ params, query }) => {
        const record = find(params);
        if (record.phase !== "running") throw conflict(`container ${record.id} is not running`);
        const columns = planTop(query.text("ps_args"));
        const node = { nowMs: parts.clock.now(), memoryBytes: totalmem() };
        const booted = bootedAtMs();
        const pids = await parts.runtime.processes(record.id);
        const processes = pids.flatMap((pid) => readProcess(pid, booted) ?? []).toSorted((a, b) => a.pid - b.pid);
        return json({
          Titles: columns.map(([title]) => title),
          Processes: processes.map((process) => columns.map(([, value]) => value(process, node))),
        });
      },
    ],
    [
      "GET /containers/{id}/stats",
      async ({ params, query }) => {
        const { id } = find(params);
        const first = await sample(door, containers.life.record(id));
        if (!query.flag("stream", true)) {
          const before = query.flag("one-shot") ? undefined : first;
          if (before !== undefined) await sleep(parts.clock, sampleMs);
          const record = containers.life.record(id);
          return json(showStats(record, before === undefined ? first : await sample(door, record), before));
        }
        return jsonLines(async (send, signal) => {
          let before: StatsSample | undefined;
          let now = first;
          for (;;) {
            await send(showStats(containers.life.record(id), now, before));
            await sleep(parts.clock, sampleMs, signal).catch(() => {});
            const record = parts.store.get(id);
            if (signal.aborted || record === undefined) return;
            before = now;
            now = await sample(door, record);
          }
        });
      },
    ],
    ["GET /system/df", async ({ query }) => json(await diskUsage(door, new Set(query.texts("type"))))],
  ];
}

async function sample({ parts, containers }: Door, record: ContainerRecord): Promise<StatsSample> {
  const runs = record.phase === "running";
  const { pid } = containers.life.live(record.id);
  return {
    atMs: parts.clock.now(),
    cgroup: runs ? await parts.runtime.stats(record.id).catch(() => undefined) : undefined,
    systemNs: systemNs(),
    networks: runs && pid > 0 && record.hostConfig.NetworkMode !== "host" ? readNetworks(pid) : {},
  };
}

async function diskUsage(door: Door, types: ReadonlySet<string>): Promise<unknown> {
  const { parts, containers, builder } = door;
  const { images, volumes } = parts;
  const wants = (type: string) => types.size === 0 || types.has(type);
  const usage = await images.usage();
  const written = new Map(usage.containers.map(({ containerId, writableBytes }) => [containerId, writableBytes]));
  const imageLines = usage.images.map(async ({ image, sharedBytes, containerIds }) =>
    summarizeImage(await images.inspect(image.id), containerIds.length, sharedBytes),
  );
  const volumeLines = volumes.list().map(async (volume) => ({
    ...volumes.show(volume),
    UsageData: { Size: await volumes.sizeOf(volume.name), RefCount: volumes.usersOf(volume.name).length },
  }));
  const nowMs = parts.clock.now();
  const containerLines = containers.list().map((record) => {
    const SizeRw = written.get(record.id) ?? 0;
    return summarizeContainer(record, {
      live: containers.life.live(record.id),
      nowMs,
      size: { SizeRw, SizeRootFs: SizeRw },
    });
  });
  const cache = await builder.usage();
  const cacheLine = {
    ID: "steps",
    Type: "regular",
    Description: `results of ${cache.entries} steps`,
    InUse: false,
    Shared: false,
    Size: cache.bytes,
    CreatedAt: new Date(0).toISOString(),
    LastUsedAt: null,
    UsageCount: 0,
  };
  return {
    LayersSize: usage.layerBytes,
    Images: wants("image") ? await Promise.all(imageLines) : null,
    Containers: wants("container") ? containerLines : null,
    Volumes: wants("volume") ? await Promise.all(volumeLines) : null,
    BuildCache: wants("build-cache") ? (cache.entries === 0 ? [] : [cacheLine]) : null,
  };
}
