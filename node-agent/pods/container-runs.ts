// The containers of one pod as they are: records, and what is under way for each of them. Carries out container steps.

import { constants } from "node:os";
import type { Container, Pod } from "../../api/kinds/generated/types.ts";
import { unreachable } from "../../lib/assert.ts";
import type { ContainerState } from "../runtime/runtime.ts";
import { type ContainerLabels, containerId } from "./container-labels.ts";
import { afterFailedStart, afterProbe, beginAnew, terminationOf } from "./container-transitions.ts";
import { runHook } from "./hooks.ts";
import type { ContainerStep } from "./next-container-step.ts";
import type { Ground } from "./pod-ground.ts";
import type { PodParts } from "./pod-parts.ts";
import { type ContainerRecord, containersOf, type Termination } from "./pod-state.ts";
import { type ProbeKind, startProbes } from "./prober.ts";
import { nextBackoff } from "./restart-backoff.ts";
import { discard, startContainer } from "./start-container.ts";
import { messageOf } from "./start-problem.ts";
import { type Stop, stopContainer } from "./stop-container.ts";

interface Underway {
  /** Of a start, or of what goes on while it runs. */
  readonly controller: AbortController;
  stop: Stop | undefined;
  endProbes: (() => void) | undefined;
}

const waitRetryMs = 1000;
const probeTitles = { startup: "Startup", readiness: "Readiness", liveness: "Liveness" } as const;

export class ContainerRuns {
  readonly #parts: PodParts;
  readonly #pod: () => Pod;
  readonly #cgroup: string;
  readonly #changed: () => void;
  readonly #records = new Map<string, ContainerRecord>();
  readonly #underway = new Map<string, Underway>();
  #closed = false;

  constructor(options: {
    readonly parts: PodParts;
    readonly pod: () => Pod;
    readonly cgroup: string;
    readonly records: readonly ContainerRecord[];
    /** Called after a record changed by itself: a start finished, a process ended, a probe answered. */
    readonly changed: () => void;
  }) {
    this.#parts = options.parts;
    this.#pod = options.pod;
    this.#cgroup = options.cgroup;
    this.#changed = options.changed;
    for (const record of options.records) this.#records.set(record.name, record);
  }

  get records(): readonly ContainerRecord[] {
    return [...this.#records.values()];
  }

  /** Containers that the pod has got since. */
  addNew(records: readonly ContainerRecord[]): void {
    for (const record of records) if (!this.#records.has(record.name)) this.#records.set(record.name, record);
  }

  /** Goes on with containers that run already. Probes begin once the pod's address is known, with `watch`. */
  adopt(): void {
    for (const record of this.records) {
      if (record.now.phase === "Running") this.#follow(record.name, record.now.id);
    }
  }

  /** Probes of adopted containers. */
  watch(ground: Ground): void {
    for (const record of this.records) {
      const { now } = record;
      if (now.phase === "Running" && this.#underway.get(record.name)?.endProbes === undefined) {
        this.#beginProbes(record.name, now.id, ground, false);
      }
    }
  }

  apply(step: ContainerStep, ground: Ground | undefined): void {
    switch (step.do) {
      case "start":
        if (ground !== undefined) this.#start(step.name, step.attempt, ground);
        return;
      case "stop":
        this.#stop(step, ground?.ips[0] ?? "");
        return;
      case "release": {
        const { now } = this.#record(step.name);
        if (now.phase !== "Stopping") return;
        this.#set(step.name, { now: { ...now, deadlineMs: step.deadlineMs, held: undefined } });
        this.#underway.get(step.name)?.stop?.release(step.deadlineMs);
        return;
      }
      case "hurry": {
        const { now } = this.#record(step.name);
        if (now.phase !== "Stopping") return;
        this.#set(step.name, { now: { ...now, deadlineMs: step.deadlineMs } });
        this.#underway.get(step.name)?.stop?.hurry(step.deadlineMs);
        return;
      }
      case "cancel":
        this.#underway.get(step.name)?.controller.abort(new Error("the pod is being stopped"));
        return;
      case "restartAll":
        this.#restartAll(step.trigger, step.atMs);
        return;
      case "noteBackoff":
        this.#noteBackoff(step.name);
        return;
      default:
        unreachable(step);
    }
  }

  /** What waits for a ConfigMap or Secret may look again. */
  retryConfig(): void {
    for (const { name, now } of this.records) {
      if (now.phase === "Waiting" && now.reason === "CreateContainerConfigError") {
        this.#set(name, { now: { ...now, retryAtMs: 0 } });
      }
    }
  }

  /** Looks away: containers go on, nothing is done for them any more. */
  close(): void {
    this.#closed = true;
    for (const { controller, stop, endProbes } of this.#underway.values()) {
      endProbes?.();
      stop?.ended();
      controller.abort(new Error("the agent is ending"));
    }
    this.#underway.clear();
  }

  #start(name: string, attempt: number, ground: Ground): void {
    const { clock } = this.#parts;
    const before = this.#record(name);
    const found = containersOf(this.#pod()).find(({ container }) => container.name === name);
    if (found === undefined) return;
    const { container, role } = found;
    const ended = before.now.phase === "Exited" ? before.now.exit : undefined;
    this.#set(name, {
      attempt,
      again: undefined,
      now: { phase: "Starting" },
      last: ended ?? before.last,
      backoff: ended === undefined ? before.backoff : nextBackoff(before.backoff, ended.finishedAtMs),
    });
    const underway = this.#begin(name);
    if (attempt > 1) this.#forgetRun(name, attempt - 2);
    const startMs = clock.now();
    const startMonotonicMs = clock.monotonicMs();
    const { sandbox, fields } = ground;
    const request = { pod: this.#pod(), container, role, attempt, sandbox, cgroup: this.#cgroup, fields };
    startContainer(request, this.#parts, underway.controller.signal).then(
      (labels) => {
        const durationMs = clock.monotonicMs() - startMonotonicMs;
        this.#parts.log.debug({ pod: this.#pod().metadata?.uid, container: name, durationMs }, "container started");
        this.#started(container, { attempt, ground, labels });
      },
      (error) => this.#notStarted(name, { attempt, startMs, error }),
    );
  }

  #started(
    container: Container,
    run: { readonly attempt: number; readonly ground: Ground; readonly labels: ContainerLabels | undefined },
  ): void {
    const { name } = container;
    if (this.#closed) return;
    const id = containerId(this.#pod().metadata?.uid ?? "", name, run.attempt);
    const startedAtMs = this.#parts.clock.now();
    const started = container.startupProbe === undefined;
    this.#set(name, {
      imageId: run.labels?.imageId ?? "",
      imagePin: run.labels?.imagePin ?? "",
      user: run.labels?.user,
      pull: undefined,
      now: {
        phase: "Running",
        id,
        startedAtMs,
        image: container.image ?? "",
        started,
        ready: started && container.readinessProbe === undefined,
        unhealthy: undefined,
      },
    });
    this.#follow(name, id);
    this.#runPostStart(container, id, run.ground);
    this.#beginProbes(name, id, run.ground, true);
    this.#changed();
  }

  #notStarted(name: string, { attempt, startMs, error }: { attempt: number; startMs: number; error: unknown }): void {
    const aborted = this.#underway.get(name)?.controller.signal.aborted === true;
    this.#underway.delete(name);
    if (this.#closed) return;
    const id = containerId(this.#pod().metadata?.uid ?? "", name, attempt);
    const next: Partial<ContainerRecord> = aborted
      ? { now: { phase: "Waiting", reason: "", message: "", retryAtMs: 0 } }
      : afterFailedStart(this.#record(name), { error, id, startedAtMs: startMs }, this.#parts.clock.now());
    this.#set(name, next);
    if (next.now?.phase === "Waiting" && next.now.reason === "ErrImagePull") {
      this.#noteImageBackoff(name, next.now.retryAtMs);
    }
    this.#changed();
  }

  // Kubernetes says ErrImagePull first and ImagePullBackOff while it waits for the next try.
  #noteImageBackoff(name: string, retryAtMs: number): void {
    this.#parts.clock.after(1000, () => {
      const record = this.#records.get(name);
      if (this.#closed || record?.now.phase !== "Waiting" || record.now.retryAtMs !== retryAtMs) return;
      const image = containersOf(this.#pod()).find(({ container }) => container.name === name)?.container.image ?? "";
      const message = `Back-off pulling image "${image}": ErrImagePull: ${record.now.message}`;
      this.#set(name, { now: { ...record.now, reason: "ImagePullBackOff", message } });
      this.#event(name, "Normal", "BackOff", `Back-off pulling image "${image}"`);
      this.#changed();
    });
  }

  #restartAll(trigger: string, atMs: number): void {
    this.#event(
      trigger,
      "Normal",
      "RestartAllContainers",
      `Container ${trigger} ended so that all containers begin anew`,
    );
    for (const record of this.records)
      if (record.role !== "ephemeral")
        this.#set(record.name, beginAnew(record, { isTrigger: record.name === trigger, atMs }));
    this.#changed();
  }

  #noteBackoff(name: string): void {
    const { now } = this.#record(name);
    if (now.phase !== "Exited") return;
    this.#set(name, { now: { ...now, backoffNoted: true } });
    const { name: podName = "", namespace = "default", uid = "" } = this.#pod().metadata ?? {};
    this.#event(
      name,
      "Warning",
      "BackOff",
      `Back-off restarting failed container ${name} in pod ${podName}_${namespace}(${uid})`,
    );
  }

  #stop({ name, graceMs, message, held }: Extract<ContainerStep, { do: "stop" }>, podIp: string): void {
    const { now, imageId } = this.#record(name);
    const underway = this.#underway.get(name);
    const container = containersOf(this.#pod()).find((each) => each.container.name === name)?.container;
    if (now.phase !== "Running" || underway === undefined || container === undefined) return;
    const sinceMs = this.#parts.clock.now();
    const deadlineMs = sinceMs + graceMs;
    underway.endProbes?.();
    underway.controller.abort(new Error("the container is being stopped"));
    const { id, startedAtMs } = now;
    this.#set(name, { now: { phase: "Stopping", id, startedAtMs, sinceMs, deadlineMs, held } });
    this.#event(name, "Normal", "Killing", message);
    underway.stop = stopContainer(
      { pod: this.#pod(), container, id, imageId, podIp, deadlineMs, held: held === true },
      this.#parts,
    );
  }

  // Waits for the process's end, whoever started it.
  #follow(name: string, id: string): void {
    const underway = this.#begin(name);
    const again = () => {
      this.#parts.runtime.wait(id).then(
        (stopped) => this.#ended(name, id, stopped),
        (error) => {
          if (this.#closed || this.#underway.get(name) !== underway) return;
          this.#parts.log.warn({ container: id, error: messageOf(error) }, "could not wait for a container");
          this.#parts.clock.after(waitRetryMs, again);
        },
      );
    };
    again();
  }

  #ended(name: string, id: string, stopped: Extract<ContainerState, { status: "stopped" }>): void {
    const underway = this.#underway.get(name);
    const { now, attempt } = this.#record(name);
    if (this.#closed || (now.phase !== "Running" && now.phase !== "Stopping") || now.id !== id) return;
    underway?.endProbes?.();
    underway?.stop?.ended();
    underway?.controller.abort(new Error("the container has ended"));
    this.#underway.delete(name);
    const exit: Termination = terminationOf(id, stopped, "");
    const container = containersOf(this.#pod()).find((each) => each.container.name === name)?.container;
    const settle = (message: string) => {
      const current = this.#record(name);
      if (this.#closed || current.attempt !== attempt) return;
      this.#set(name, { now: { phase: "Exited", exit: { ...exit, message }, backoffNoted: false } });
      this.#changed();
    };
    const { storage, images, log } = this.#parts;
    this.#endLeftovers(id)
      .then(() => images.removeLayer(id))
      .catch((error) => log.warn({ container: id, error: messageOf(error) }, "layer stays for now"));
    if (container === undefined) settle("");
    else
      storage
        .terminationMessage(this.#pod(), container, { attempt, failed: exit.exitCode !== 0 })
        .then(settle, () => settle(""));
  }

  // Its own pid namespace would have taken the children of its first process along.
  async #endLeftovers(id: string): Promise<void> {
    const { hostPID, shareProcessNamespace, ephemeralContainers } = this.#pod().spec ?? {};
    const targets = ephemeralContainers?.some(({ targetContainerName }) => targetContainerName !== undefined);
    if (hostPID !== true && shareProcessNamespace !== true && targets !== true) return;
    await this.#parts.runtime.signal(id, constants.signals.SIGKILL, "all");
  }

  #beginProbes(name: string, id: string, ground: Ground, fresh: boolean): void {
    const underway = this.#underway.get(name);
    const container = containersOf(this.#pod()).find((each) => each.container.name === name)?.container;
    if (underway === undefined || container === undefined) return;
    const { now } = this.#record(name);
    const passed = now.phase === "Running" && now.started;
    const target = { containerId: id, container, podIp: ground.ips[0] ?? "", fresh, started: passed };
    underway.endProbes = startProbes(target, this.#parts, {
      onFailure: (kind, message) =>
        this.#event(name, "Warning", "Unhealthy", `${probeTitles[kind]} probe failed: ${message}`),
      onResult: (kind, { ok, message }) => this.#probed(container, kind, ok, message),
    });
  }

  #probed(container: Container, kind: ProbeKind, ok: boolean, message: string): void {
    const { name } = container;
    const { now } = this.#record(name);
    if (now.phase !== "Running" || this.#closed) return;
    const next = afterProbe(now, container, kind, ok);
    if (next === now) return;
    this.#parts.log.debug({ container: now.id, probe: kind, ok }, "probe changed its answer");
    if (next.unhealthy !== undefined)
      this.#parts.log.info({ container: now.id, probe: kind, message }, "probe failed for good");
    this.#set(name, { now: next });
    this.#changed();
  }

  #runPostStart(container: Container, id: string, ground: Ground): void {
    const handler = container.lifecycle?.postStart;
    const signal = this.#underway.get(container.name)?.controller.signal;
    if (handler === undefined || signal === undefined) return;
    const target = { containerId: id, container, podIp: ground.ips[0] ?? "", timeoutMs: 30_000 };
    runHook(handler, target, this.#parts, signal).catch((error) => {
      const { now } = this.#record(container.name);
      if (signal.aborted || now.phase !== "Running" || now.id !== id) return;
      this.#event(container.name, "Warning", "FailedPostStartHook", `PostStartHook failed: ${messageOf(error)}`);
      this.#set(container.name, { now: { ...now, unhealthy: { message: "FailedPostStartHook", graceMs: undefined } } });
      this.#changed();
    });
  }

  #forgetRun(name: string, attempt: number): void {
    const pod = this.#pod();
    discard(containerId(pod.metadata?.uid ?? "", name, attempt), this.#parts)
      .then(() => this.#parts.storage.removeRunsBefore(pod, name, attempt + 1))
      .catch((error) => this.#parts.log.warn({ container: name, error: messageOf(error) }, "old logs stay for now"));
  }

  #begin(name: string): Underway {
    const underway: Underway = { controller: new AbortController(), stop: undefined, endProbes: undefined };
    this.#underway.set(name, underway);
    return underway;
  }

  #record(name: string): ContainerRecord {
    const record = this.#records.get(name);
    if (record === undefined) throw new Error(`bug: no container ${name}`);
    return record;
  }

  #set(name: string, change: Partial<ContainerRecord>): void {
    this.#records.set(name, { ...this.#record(name), ...change });
  }

  #event(container: string, type: "Normal" | "Warning", reason: string, message: string): void {
    this.#parts.events.pod(this.#pod(), { type, reason, message, container });
  }
}
