// Containers' lives: start, end, and start again by their restart policy; what an earlier agent left goes on.
import type { Timer } from "../../../lib/clock.ts";
import { type ContainerState, LaunchError, ownSandboxPrefix, type ProcessStreams } from "../../runtime/runtime.ts";
import { conflict, DockerProblem, messageOf, notFound } from "../http/problem.ts";
import { Attachments } from "./attachments.ts";
import { eventAttributes } from "./create-container.ts";
import { type HealthState, healthBegins, planHealth, runHealthChecks } from "./health.ts";
import type { DockerParts } from "./parts.ts";
import type { ContainerRecord } from "./record.ts";
import { decideRestart, startsWithAgent } from "./restart-policy.ts";
import { prepareStart, releaseStart } from "./start-container.ts";
import type { Live } from "./status-text.ts";
import { Turns } from "./turns.ts";

type Stopped = Extract<ContainerState, { status: "stopped" }>;

export interface LifeOptions {
  /** Runs a command of a health check. */
  readonly check: (
    record: ContainerRecord,
    args: readonly string[],
    signal: AbortSignal,
  ) => Promise<{ readonly exitCode: number; readonly output: string }>;
  /** One that is to vanish with its end has ended. */
  readonly onAutoRemove: (id: string) => Promise<void>;
}

/** From a start to what its end brings about. */
interface Run {
  readonly pid: number;
  /** Resolves when its end is written down. */
  readonly over: Promise<void>;
  readonly health: AbortController;
}

interface Memory {
  run: Run | undefined;
  restart: Timer | undefined;
  lastWaitMs: number;
  health: HealthState | undefined;
  removing: boolean;
  readonly execIds: Set<string>;
  readonly waiters: Set<() => void>;
}

export class Life {
  readonly attachments = new Attachments();
  readonly #parts: DockerParts;
  readonly #options: LifeOptions;
  readonly #memories = new Map<string, Memory>();
  readonly #turns = new Turns();
  #closed = false;

  constructor(parts: DockerParts, options: LifeOptions) {
    this.#parts = parts;
    this.#options = options;
  }

  /** What runs goes on; what ended meanwhile, or should run, is dealt with as its policy says. */
  async adopt(): Promise<void> {
    const { store, runtime, log } = this.#parts;
    const states = new Map((await runtime.list()).map(({ id, state }) => [id, state]));
    const running = store.list().filter(({ phase }) => phase === "running");
    for (const record of running) {
      const state = states.get(record.id);
      if (state?.status === "running") this.#follow(record, state.pid);
      else await this.#end(record.id, state?.status === "stopped" ? state : lost(this.#parts.clock.now(), record));
    }
    const ids = new Set(
      store
        .list()
        .filter(({ phase }) => phase === "running")
        .map(({ id }) => id),
    );
    for (const { id } of await runtime.listSandboxes()) {
      const owner = id.startsWith(ownSandboxPrefix) ? id.slice(ownSandboxPrefix.length) : "";
      if (/^[0-9a-f]{64}$/.test(owner) && !ids.has(owner)) await runtime.removeSandbox(id);
    }
    for (const record of store.list()) {
      if (record.phase !== "exited" || this.#memories.get(record.id)?.restart !== undefined) continue;
      if (!startsWithAgent(record.hostConfig.RestartPolicy, record)) continue;
      this.start(record.id, "policy").catch((error) =>
        log.warn({ container: record.id, error: messageOf(error) }, "a container does not start again"),
      );
    }
  }

  live(id: string): Live {
    const { run, restart, health, removing, execIds } = this.#memory(id);
    return { pid: run?.pid ?? 0, restarting: restart !== undefined, removing, health, execIds: [...execIds] };
  }

  execIds(id: string): Set<string> {
    return this.#memory(id).execIds;
  }

  record(id: string): ContainerRecord {
    const record = this.#parts.store.get(id);
    if (record === undefined) throw notFound(`No such container: ${id}`);
    return record;
  }

  /** For work that must not meet a start or another such work. */
  inTurn<T>(id: string, work: () => Promise<T>): Promise<T> {
    return this.#turns.run(id, work);
  }

  change(id: string, change: Partial<ContainerRecord>, how: "durable" | "quick" = "durable"): ContainerRecord {
    const record = { ...this.record(id), ...change };
    this.#parts.store.put(record, how);
    return record;
  }

  /** "runs" when it did so already. */
  start(id: string, why: "user" | "policy" = "user"): Promise<"started" | "runs"> {
    return this.#turns.run(id, async () => {
      const memory = this.#memory(id);
      const record = this.record(id);
      if (memory.removing) throw conflict("cannot start a container that is marked for removal");
      if (record.paused) throw conflict("cannot start a paused container, try unpause instead");
      if (record.phase === "running") return "runs";
      memory.restart?.cancel();
      memory.restart = undefined;
      if (why === "user") memory.lastWaitMs = 0;
      if (why === "policy" && this.#closed) return "runs";
      await this.#start(why === "user" ? { ...record, stoppedByUser: false, restartCount: 0 } : record);
      return "started";
    });
  }

  async #start(record: ContainerRecord): Promise<void> {
    const { runtime, clock, events, networks } = this.#parts;
    const { id } = record;
    let live: ContainerRecord | undefined;
    try {
      live = await prepareStart(this.#parts, record);
      const holdOutput = this.attachments.areWaiting(id);
      // Running from here on: names and ports must be right when its program looks.
      this.#parts.store.put(
        { ...live, phase: "running", startedAtMs: clock.now(), error: "", exitCode: 0, oomKilled: false },
        "quick",
      );
      this.#tellNetworks(live, "connect");
      if (live.ports.length > 0) await networks.applyRules();
      const { pid } = await runtime.start(id, { holdOutput });
      if (holdOutput) this.attachments.give(id, await this.#attach(id));
      this.#memory(id).health = planHealth(record.config.Healthcheck) === undefined ? undefined : healthBegins;
      this.#follow(this.record(id), pid);
      events.emit("container", "start", id, eventAttributes(record));
    } catch (error) {
      await this.#failed(live ?? record, error);
    }
  }

  #tellNetworks({ id, endpoints }: ContainerRecord, action: "connect" | "disconnect"): void {
    for (const [name, { networkId, live }] of Object.entries(endpoints)) {
      if (live !== undefined)
        this.#parts.events.emit("network", action, networkId, { container: id, name, type: "bridge" });
    }
  }

  async #attach(id: string): Promise<ProcessStreams | undefined> {
    return this.#parts.runtime.attach(id).catch(() => undefined);
  }

  async #failed(record: ContainerRecord, error: unknown): Promise<never> {
    const { runtime, clock, networks, store, events } = this.#parts;
    const exitCode = error instanceof LaunchError ? error.exitCode : 128;
    await runtime.remove(record.id);
    const released = await releaseStart(this.#parts, record);
    const phase = record.startedAtMs === 0 ? "created" : "exited";
    store.put({ ...released, phase, exitCode, error: messageOf(error), finishedAtMs: clock.now() }, "durable");
    if (record.ports.length > 0) await networks.applyRules();
    this.attachments.give(record.id, undefined);
    events.emit(
      "container",
      "die",
      record.id,
      eventAttributes(record, { exitCode: String(exitCode), execDuration: "0" }),
    );
    this.#wake(record.id);
    if (record.hostConfig.AutoRemove) queueMicrotask(() => void this.#options.onAutoRemove(record.id).catch(() => {}));
    if (error instanceof DockerProblem) throw error;
    if (error instanceof LaunchError)
      throw new DockerProblem(
        exitCode === 128 ? 500 : 400,
        `failed to create task for container: unable to start container process: ${launchText(error)}`,
        { cause: error },
      );
    throw error;
  }

  #follow(record: ContainerRecord, pid: number): void {
    const { runtime, log } = this.#parts;
    const memory = this.#memory(record.id);
    const health = new AbortController();
    const over = runtime
      .wait(record.id)
      .then((stopped) => this.#end(record.id, stopped))
      .catch((error) =>
        log.warn({ container: record.id, error: messageOf(error) }, "a container's end was not dealt with"),
      );
    memory.run = { pid, over, health };
    this.#checkHealth(record, health.signal);
  }

  #checkHealth(record: ContainerRecord, signal: AbortSignal): void {
    const plan = planHealth(record.config.Healthcheck);
    const memory = this.#memory(record.id);
    if (plan === undefined) return;
    memory.health ??= healthBegins;
    const { clock, events, log } = this.#parts;
    const checks = {
      clock,
      check: (args: readonly string[], stop: AbortSignal) => this.#options.check(record, args, stop),
      onState: (state: HealthState) => {
        const before = memory.health?.Status;
        memory.health = state;
        if (state.Status !== before)
          events.emit(
            "container",
            `health_status: ${state.Status}`,
            record.id,
            eventAttributes(this.record(record.id)),
          );
      },
    };
    runHealthChecks(plan, checks, signal).catch((error) =>
      log.warn({ error: messageOf(error) }, "health checks ended"),
    );
  }

  async #end(id: string, stopped: Stopped): Promise<void> {
    const { networks, events, clock } = this.#parts;
    const memory = this.#memory(id);
    memory.run?.health.abort(new Error("the container has ended"));
    const record = this.record(id);
    const released = await releaseStart(this.#parts, record);
    this.#tellNetworks(record, "disconnect");
    const { exitCode, oomKilled, startedAtMs, finishedAtMs } = stopped;
    const decision = decideRestart(record.hostConfig.RestartPolicy, {
      exitCode,
      restartCount: record.restartCount,
      stoppedByUser: record.stoppedByUser || this.#closed,
      ranMs: finishedAtMs - startedAtMs,
      lastWaitMs: memory.lastWaitMs,
    });
    const { endpoints, ports } = released;
    this.change(
      id,
      { endpoints, ports, phase: "exited", paused: false, exitCode, oomKilled, startedAtMs, finishedAtMs },
      "quick",
    );
    memory.run = undefined;
    memory.health = undefined;
    if (record.ports.length > 0) await networks.applyRules();
    const ranSeconds = String(Math.floor((finishedAtMs - startedAtMs) / 1000));
    if (oomKilled) events.emit("container", "oom", id, eventAttributes(record));
    events.emit(
      "container",
      "die",
      id,
      eventAttributes(record, { exitCode: String(exitCode), execDuration: ranSeconds }),
    );
    if (decision.restart) {
      memory.lastWaitMs = decision.waitMs;
      memory.restart = clock.after(decision.waitMs, () => this.#again(id));
    }
    this.#wake(id);
    if (record.hostConfig.AutoRemove && !decision.restart) await this.#options.onAutoRemove(id);
  }

  #again(id: string): void {
    const { store, log } = this.#parts;
    const record = store.get(id);
    if (record === undefined || this.#closed) return;
    this.#memory(id).restart = undefined;
    this.change(id, { restartCount: record.restartCount + 1 }, "quick");
    this.start(id, "policy").catch((error) => {
      log.warn({ container: id, error: messageOf(error) }, "a container does not start again");
    });
  }

  /** It shall not start again by itself; a start that was due is called off. */
  holdBack(id: string): void {
    const memory = this.#memory(id);
    memory.restart?.cancel();
    memory.restart = undefined;
    this.change(id, { stoppedByUser: true });
    this.#wake(id);
  }

  /** Resolves when no process of it runs and its end is written down. */
  async over(id: string): Promise<void> {
    await this.#memory(id).run?.over;
  }

  markRemoving(id: string, removing: boolean): void {
    this.#memory(id).removing = removing;
  }

  /** It is gone: nothing is known of it any more. */
  forget(id: string): void {
    this.attachments.give(id, undefined);
    this.#memories.get(id)?.restart?.cancel();
    this.#wake(id);
    this.#memories.delete(id);
  }

  /** Resolves at the next change of its state: end, removal. */
  nextChange(id: string, signal: AbortSignal): Promise<void> {
    const { waiters } = this.#memory(id);
    return new Promise((resolve, reject) => {
      signal.throwIfAborted();
      const settle = (then: () => void) => {
        waiters.delete(wake);
        signal.removeEventListener("abort", onAbort);
        then();
      };
      const wake = () => settle(resolve);
      const onAbort = () => settle(() => reject(signal.reason));
      waiters.add(wake);
      signal.addEventListener("abort", onAbort, { once: true });
    });
  }

  /** No container starts by itself any more; those that run go on. */
  close(): void {
    this.#closed = true;
    for (const { restart, run } of this.#memories.values()) {
      restart?.cancel();
      run?.health.abort(new Error("the agent ends"));
    }
  }

  #wake(id: string): void {
    for (const waiter of [...this.#memory(id).waiters]) waiter();
  }

  #memory(id: string): Memory {
    const known = this.#memories.get(id);
    if (known !== undefined) return known;
    const memory: Memory = {
      run: undefined,
      restart: undefined,
      lastWaitMs: 0,
      health: undefined,
      removing: false,
      execIds: new Set(),
      waiters: new Set(),
    };
    this.#memories.set(id, memory);
    return memory;
  }
}

/** In the words that docker's clients look for to tell a program that is not there. */
export function launchText(error: LaunchError): string {
  const [, program] = /^exec ([^/]+): no such file or directory$/.exec(error.message) ?? [];
  return program === undefined ? error.message : `exec: ${JSON.stringify(program)}: executable file not found in $PATH`;
}

// The runtime knows nothing of it: killed between what we wrote and its start, or its state is gone.
function lost(nowMs: number, { startedAtMs }: ContainerRecord): Stopped {
  return { status: "stopped", exitCode: 255, oomKilled: false, startedAtMs: startedAtMs || nowMs, finishedAtMs: nowMs };
}
