// All containers of the docker door: found, listed, changed, removed.
import { availableParallelism } from "node:os";
import type { JsonObject } from "../http/json.ts";
import { conflict, DockerProblem, messageOf, notFound } from "../http/problem.ts";
import type { Filters } from "../http/query.ts";
import { labelsAbsent, labelsFit, parseTime } from "../http/query.ts";
import { folderBytes } from "../volumes/volumes.ts";
import { rareLimits } from "./block-devices.ts";
import { type Created, createContainer, eventAttributes, nameTaken, parseEndpoint } from "./create-container.ts";
import { Execs } from "./execs.ts";
import { Life } from "./life.ts";
import { parseLink } from "./links.ts";
import { checkName, findByName } from "./names.ts";
import { parseLimits, parseRestartPolicy } from "./parse-config.ts";
import type { DockerParts } from "./parts.ts";
import { checkProcessors } from "./rare-limits.ts";
import type { ContainerRecord } from "./record.ts";
import { planResources } from "./security.ts";
import { logPathOf, sandboxId } from "./start-container.ts";
import { endProcess, killContainer, type StopOptions, stopContainer } from "./stop-container.ts";

export class Containers {
  readonly life: Life;
  readonly execs: Execs;
  readonly parts: DockerParts;

  constructor(parts: DockerParts) {
    this.parts = parts;
    this.life = new Life(parts, {
      check: (record, args, signal) => this.execs.check(record, args, signal),
      onAutoRemove: (id) => this.#removeEnded(id),
    });
    this.execs = new Execs(parts, this.life);
  }

  find(text: string): ContainerRecord {
    return findByName(this.parts.store.list(), text, "container");
  }

  list(): readonly ContainerRecord[] {
    return this.parts.store.list();
  }

  create(body: JsonObject, name: string): Promise<Created> {
    return createContainer(this.parts, body, name);
  }

  logPath(record: ContainerRecord): string {
    return logPathOf(this.parts, record);
  }

  start(id: string): Promise<"started" | "runs"> {
    return this.life.start(id);
  }

  stop(id: string, options: StopOptions): Promise<"stopped" | "idle"> {
    return stopContainer(this.parts, this.life, id, options);
  }

  kill(id: string, signal: string): Promise<void> {
    return killContainer(this.parts, this.life, id, signal);
  }

  async restart(id: string, options: StopOptions): Promise<void> {
    const { phase } = this.life.record(id);
    if (phase === "running") {
      // It ends to start again: its policy is not asked, and nobody stopped it for good.
      this.life.change(id, { stoppedByUser: true }, "quick");
      await endProcess(this.parts, this.life, id, options);
    }
    if (this.parts.store.get(id) === undefined) return;
    await this.life.start(id);
    this.parts.events.emit("container", "restart", id, eventAttributes(this.life.record(id)));
  }

  async pause(id: string): Promise<void> {
    const record = this.life.record(id);
    if (record.phase !== "running") throw conflict(`container ${id} is not running`);
    if (record.paused) throw conflict(`container ${id} is already paused`);
    await this.parts.runtime.pause(id);
    this.life.change(id, { paused: true }, "quick");
    this.parts.events.emit("container", "pause", id, eventAttributes(record));
  }

  async unpause(id: string): Promise<void> {
    const record = this.life.record(id);
    if (!record.paused) throw conflict(`container ${id} is not paused`);
    await this.parts.runtime.resume(id);
    this.life.change(id, { paused: false }, "quick");
    this.parts.events.emit("container", "unpause", id, eventAttributes(record));
  }

  rename(id: string, text: string): void {
    const record = this.life.record(id);
    const name = checkName(text);
    if (name === record.name)
      throw new DockerProblem(400, "renaming a container with the same name as its current name");
    if (this.parts.store.isTaken(name)) throw nameTaken(this.list(), name);
    this.life.change(id, { name });
    this.parts.events.emit(
      "container",
      "rename",
      id,
      eventAttributes({ ...record, name }, { oldName: `/${record.name}` }),
    );
  }

  /** From its next start on it does not know another container by this name. */
  unlink(id: string, alias: string): void {
    const { hostConfig, name } = this.life.record(id);
    const links = hostConfig.Links ?? [];
    const left = links.filter((link) => parseLink(link).alias !== alias);
    if (left.length === links.length) throw notFound(`container ${name} has no link ${alias}`);
    this.life.change(id, { hostConfig: { ...hostConfig, Links: left } });
  }

  async update(id: string, body: JsonObject): Promise<void> {
    const record = this.life.record(id);
    const given = body.keys().filter((key) => body.has(key) && body.raw(key) !== 0 && body.raw(key) !== "");
    const asked = parseLimits(body);
    const limits = Object.fromEntries(Object.entries(asked).filter(([key]) => given.includes(key)));
    const policy = body.object("RestartPolicy");
    const restart = policy.text("Name") === "" ? {} : { RestartPolicy: parseRestartPolicy(policy) };
    if (record.hostConfig.AutoRemove && restart.RestartPolicy !== undefined && restart.RestartPolicy.Name !== "no")
      throw conflict("Restart policy cannot be updated because AutoRemove is enabled for the container");
    const hostConfig = { ...record.hostConfig, ...limits, ...restart };
    checkProcessors(hostConfig, availableParallelism());
    checkUnsupportedUpdate(body);
    const resources = planResources(hostConfig, hostConfig.OomScoreAdj, await rareLimits(hostConfig));
    if (record.phase === "running") await this.parts.runtime.update(id, resources);
    this.life.change(id, { hostConfig });
    this.parts.events.emit("container", "update", id, eventAttributes(record));
  }

  async remove(id: string, options: { readonly force: boolean; readonly volumes: boolean }): Promise<void> {
    const record = this.life.record(id);
    const { removing, restarting } = this.life.live(id);
    if (removing) throw conflict(`removal of container ${id} is already in progress`);
    if (!options.force && record.phase === "running")
      throw conflict(
        `cannot remove container "/${record.name}": container is ${record.paused ? "paused and must be unpaused first" : "running: stop the container before removing or force remove"}`,
      );
    this.life.markRemoving(id, true);
    try {
      if (restarting || record.phase === "running") this.life.holdBack(id);
      await this.life.inTurn(id, () => this.#remove(id, options.volumes));
    } finally {
      if (this.parts.store.get(id) !== undefined) this.life.markRemoving(id, false);
    }
  }

  /** Those that do not run and whose labels and age fit. */
  async prune(filters: Filters): Promise<{ readonly ids: readonly string[]; readonly bytes: number }> {
    const before = parseTime(filters.get("until")?.[0] ?? "", this.parts.clock.now()) ?? Number.POSITIVE_INFINITY;
    const ids: string[] = [];
    let bytes = 0;
    for (const record of this.list()) {
      const { restarting, removing } = this.life.live(record.id);
      if (record.phase === "running" || restarting || removing || record.createdAtMs >= before) continue;
      const { Labels } = record.config;
      if (!labelsFit(filters, Labels) || !labelsAbsent(filters, Labels)) continue;
      const size = await this.sizeOf(record);
      await this.remove(record.id, { force: false, volumes: false });
      ids.push(record.id);
      bytes += size;
    }
    if (ids.length > 0) this.parts.events.emit("container", "prune", "", { reclaimed: String(bytes) });
    return { ids, bytes };
  }

  /** What it wrote itself. */
  async sizeOf(record: ContainerRecord): Promise<number> {
    const path = this.parts.images.layerPath(record.id);
    return path === undefined ? 0 : folderBytes(path);
  }

  async connect(id: string, networkName: string, config: JsonObject | undefined): Promise<void> {
    const { networks, events } = this.parts;
    await this.life.inTurn(id, async () => {
      const record = this.life.record(id);
      const network = networks.find(networkName);
      const { NetworkMode } = record.hostConfig;
      if (network.driver !== "bridge" || NetworkMode === "host" || NetworkMode.startsWith("container:"))
        throw new DockerProblem(
          403,
          "container sharing network namespace with another container or host cannot be connected to any other network",
        );
      if (Object.values(record.endpoints).some(({ networkId }) => networkId === network.id))
        throw new DockerProblem(403, `endpoint with name ${record.name} already exists in network ${network.name}`);
      const endpoint = parseEndpoint(network.id, config, { mac: "" });
      networks.checkEndpoint(network, endpoint);
      // "none" is left with the first real network.
      const none = networks.find("none").id;
      const others = Object.fromEntries(
        Object.entries(record.endpoints).filter(([, { networkId }]) => networkId !== none),
      );
      const running = record.phase === "running";
      const sandbox = (await this.parts.runtime.listSandboxes()).find((one) => one.id === sandboxId(id));
      const used = new Set(Object.values(others).flatMap(({ live }) => live?.link ?? []));
      const number = [...used, "one more"].findIndex((_, i) => !used.has(`eth${i}`));
      const hasWayOut = Object.values(others).some(({ live }) => live !== undefined && live.gateway !== "");
      const live =
        running && sandbox !== undefined
          ? await networks.attach(network, endpoint, {
              containerId: id,
              netns: sandbox.networkPath,
              number,
              isDefault: !hasWayOut && !network.internal,
            })
          : undefined;
      this.life.change(id, { endpoints: { ...others, [network.name]: { ...endpoint, live } } });
      events.emit("network", "connect", network.id, { container: id, name: network.name, type: network.driver });
    });
  }

  async disconnect(id: string, networkName: string): Promise<void> {
    const { networks, events, runtime } = this.parts;
    await this.life.inTurn(id, async () => {
      const record = this.life.record(id);
      const network = networks.find(networkName);
      const found = Object.entries(record.endpoints).find(([, { networkId }]) => networkId === network.id);
      if (found === undefined)
        throw new DockerProblem(403, `container ${id} is not connected to network ${network.name}`);
      const [name, endpoint] = found;
      const endpoints = Object.fromEntries(Object.entries(record.endpoints).filter(([other]) => other !== name));
      const sandbox = (await runtime.listSandboxes()).find((one) => one.id === sandboxId(id));
      if (endpoint.live !== undefined) {
        await networks.detach(network.id, endpoint.live);
        const next = Object.values(endpoints).find(({ live }) => live !== undefined && live.gateway !== "")?.live;
        // The way out went with the link that had it.
        if (sandbox !== undefined && next !== undefined) await networks.setDefaultRoute(sandbox.networkPath, next);
      }
      this.life.change(id, { endpoints });
      if (record.ports.length > 0) await networks.applyRules();
      events.emit("network", "disconnect", network.id, { container: id, name: network.name, type: network.driver });
    });
  }

  /** Ends all, as the node ends; their policies start them again when it comes back. */
  async stopAll(): Promise<void> {
    this.life.close();
    const running = this.list().filter(({ phase }) => phase === "running");
    await Promise.all(
      running.map(({ id }) =>
        endProcess(this.parts, this.life, id, {}).catch((error) =>
          this.parts.log.warn({ container: id, error: messageOf(error) }, "a container does not end"),
        ),
      ),
    );
  }

  async #removeEnded(id: string): Promise<void> {
    if (this.parts.store.get(id) === undefined || this.life.live(id).removing) return;
    this.life.markRemoving(id, true);
    await this.life.inTurn(id, () => this.#remove(id, true));
  }

  async #remove(id: string, volumes: boolean): Promise<void> {
    const { runtime, images, store, events, log } = this.parts;
    const record = store.get(id);
    if (record === undefined) return;
    if (record.phase === "running") {
      const over = this.life.over(id);
      await runtime.resume(id).catch(() => {});
      await runtime.signal(id, 9, "all");
      await over;
    }
    await runtime.remove(id);
    await images.removeLayer(id);
    store.remove(id);
    if (volumes) {
      for (const { Name, anonymous } of record.mounts.filter(({ Type }) => Type === "volume")) {
        if (!anonymous || this.parts.volumes.usersOf(Name).length > 0) continue;
        try {
          await this.parts.volumes.remove(Name);
          events.emit("volume", "destroy", Name, { driver: "local" });
        } catch (error) {
          log.warn({ volume: Name, error: messageOf(error) }, "a container's volume is not removed");
        }
      }
    }
    events.emit("container", "destroy", id, eventAttributes(record));
    this.life.forget(id);
  }
}

const updateUnsupported = ["KernelMemory", "CpuRealtimePeriod", "CpuRealtimeRuntime", "Devices"];

function checkUnsupportedUpdate(body: JsonObject): void {
  for (const key of updateUnsupported) {
    const value = body.raw(key);
    if (value !== undefined && value !== 0 && value !== "" && !(Array.isArray(value) && value.length === 0))
      throw new DockerProblem(400, `${key} is not supported by Naru, got ${JSON.stringify(value)}`);
  }
}
