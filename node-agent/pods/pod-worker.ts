// Drives one pod: asks next-step.ts what to do, does it, and asks again after every change. Decides nothing itself.

import type { Pod } from "../../api/kinds/generated/types.ts";
import { unreachable } from "../../lib/assert.ts";
import type { Timer } from "../../lib/clock.ts";
import { noAppArmor } from "../runtime/apparmor.ts";
import { isComing } from "../volumes/volume-type.ts";
import { appArmorRefusal } from "./apparmor.ts";
import { containerId } from "./container-labels.ts";
import { ContainerRuns } from "./container-runs.ts";
import { deadlineOf, type Ending, intentOf, removedGraceMs } from "./intent.ts";
import { lostContainer } from "./lost-container.ts";
import { defaultGraceMs } from "./next-container-step.ts";
import { nextStep, type Step } from "./next-step.ts";
import type { Rejection } from "./node-room.ts";
import { podCgroup } from "./pod-cgroup.ts";
import { type Ground, makeGround, removeGround, SetUpError, storageContext } from "./pod-ground.ts";
import type { PodParts } from "./pod-parts.ts";
import { PodResizer } from "./pod-resizer.ts";
import { type ContainerRecord, containersOf, isAlive, newContainer, type PodState, type Wanted } from "./pod-state.ts";
import { podStatus } from "./pod-status.ts";
import { messageOf } from "./start-problem.ts";
import { StatusReporter } from "./status-reporter.ts";
import { sysctlRefusal } from "./sysctls.ts";

const setUpRetryMsFirst = 500;
const setUpRetryMsMax = 20_000;
const comingTriesMax = 4;

export class PodWorker {
  readonly #parts: PodParts;
  readonly #runs: ContainerRuns;
  readonly #reporter: StatusReporter;
  /** Ids that the runtime holds for this pod from before. */
  readonly #oldIds: ReadonlySet<string>;
  readonly #startedAtMs: number;
  #pod: Pod;
  #state: PodState = { phase: "Accepted" };
  #ground: Ground | undefined;
  #removed: number | undefined;
  #fenced = false;
  #leaving = false;
  #ending: Ending | undefined;
  #rejected = false;
  #stopSinceMs: number | undefined;
  readonly #given: PodResizer;
  #timer: Timer | undefined;
  #asked = false;
  #closed = false;
  #saving: Promise<void> | undefined;
  #saveAgain = false;

  constructor(
    pod: Pod,
    parts: PodParts,
    found: {
      readonly containers: readonly ContainerRecord[];
      readonly ids: ReadonlySet<string>;
      readonly cgroup?: string | undefined;
    },
  ) {
    this.#pod = pod;
    this.#parts = parts;
    this.#oldIds = found.ids;
    const { startTime } = pod.status ?? {};
    this.#startedAtMs = startTime === undefined ? parts.clock.now() : Date.parse(startTime);
    this.#given = new PodResizer(pod, parts, { changed: () => this.wake(), given: () => this.#refreshVolumes() });
    this.#runs = new ContainerRuns({
      parts,
      pod: () => this.allocated,
      cgroup: found.cgroup ?? podCgroup(pod),
      records: containersOf(pod).map(
        ({ container, role }) =>
          found.containers.find(({ name }) => name === container.name) ??
          lostContainer(
            pod,
            { name: container.name, role },
            { allLost: found.containers.length === 0, nowMs: parts.clock.now() },
          ),
      ),
      changed: () => this.wake(),
    });
    this.#reporter = new StatusReporter(parts.clock, pod.status ?? {}, (status) => {
      parts.onStatus(this.#pod, status);
      this.#save();
    });
    const refusal = sysctlRefusal(pod, parts.node.allowedUnsafeSysctls ?? []);
    if (refusal !== undefined) this.reject({ reason: "SysctlForbidden", message: refusal });
    const unconfined = appArmorRefusal(pod, parts.node.appArmor ?? noAppArmor);
    if (unconfined !== undefined) this.reject({ reason: "AppArmor", message: unconfined });
    this.#runs.adopt();
  }

  get pod(): Pod {
    return this.#pod;
  }

  /** With what its containers have been given, in place of what they want. */
  get allocated(): Pod {
    return this.#given.applyTo(this.#pod);
  }

  get uid(): string {
    return this.#pod.metadata?.uid ?? "";
  }

  get state(): PodState {
    return this.#state;
  }

  get containers(): readonly ContainerRecord[] {
    return this.#runs.records;
  }

  get ips(): readonly string[] {
    return this.#ground?.ips ?? [];
  }

  get sandboxNetworkPath(): string | undefined {
    return this.#ground?.sandbox.networkPath;
  }

  /** The pod as the server has it now. */
  update(pod: Pod): void {
    const before = this.#pod;
    this.#pod = pod;
    this.#removed = undefined;
    this.#runs.addNew(containersOf(pod).map(({ container, role }) => newContainer(container.name, role)));
    const meta = (of: Pod) => JSON.stringify([of.metadata?.labels, of.metadata?.annotations]);
    if (this.#state.phase === "Up" && meta(before) !== meta(pod)) this.sourcesChanged();
    if (
      JSON.stringify(before.spec) !== JSON.stringify(pod.spec) ||
      before.metadata?.deletionTimestamp !== pod.metadata?.deletionTimestamp
    ) {
      this.#save();
    }
    this.wake();
  }

  /** The server has it no more. Again with less time, it is hurried. */
  remove(graceMs = removedGraceMs): void {
    this.#removed = Math.min(graceMs, this.#removed ?? Number.POSITIVE_INFINITY);
    this.wake();
  }

  /** It must not run unseen any longer. Nothing calls this yet: pods that may run at most once are to be fenced by the session's `connection`. */
  fence(): void {
    this.#fenced = true;
    this.wake();
  }

  /** It has a share of the node: what it asks for is not to be had by others. */
  get hasRoom(): boolean {
    switch (this.#state.phase) {
      case "Accepted":
      case "SettingUp":
      case "SetUpFailed":
      case "Up":
        return !this.#rejected;
      default:
        return false;
    }
  }

  /** It fails before anything of it begins. */
  reject({ reason, message }: Rejection): void {
    if (this.#ending !== undefined) return;
    this.#rejected = true;
    this.#ending = { reason, message: `Pod was rejected: ${message}` };
    // Told once, not by every agent that starts.
    if (this.#pod.status?.phase !== "Failed") this.#event("Warning", reason, message);
  }

  /** It uses more of the node than it may: it fails, for these reasons. `graceMs`: absent, it gets hardly any time. */
  evict(message: string, graceMs?: number): void {
    if (this.#ending !== undefined) return;
    this.#ending = { reason: "Evicted", message, ...(graceMs === undefined ? {} : { graceMs }) };
    this.#event("Warning", "Evicted", message);
    this.wake();
  }

  /** Says how it is, although nothing changed. */
  reportAgain(): void {
    this.#reporter.forgetSent();
    this.wake();
  }

  /** Services are to send it nothing more; it runs on. */
  leave(): void {
    this.#leaving = true;
    this.wake();
  }

  /** Its node goes down: it fails, in its own grace period or in what time there is. */
  shutDown(graceMsMax: number): void {
    if (this.#ending !== undefined) return;
    const message = "Pod was terminated in response to imminent node shutdown.";
    this.#ending = { reason: "Terminated", message, graceMs: Math.min(defaultGraceMs(this.#pod), graceMsMax) };
    this.wake();
  }

  /** Nothing of it runs or will run. */
  get isOver(): boolean {
    return this.#state.phase === "Finished" || this.#state.phase === "Gone";
  }

  /** A ConfigMap or Secret that it uses is another one now. */
  sourcesChanged(): void {
    this.#runs.retryConfig();
    if (this.#state.phase === "SetUpFailed") this.#state = { ...this.#state, retryAtMs: 0 };
    this.#refreshVolumes();
    this.wake();
  }

  #refreshVolumes(): void {
    if (this.#ground === undefined || this.#state.phase !== "Up") return;
    const pod = this.allocated;
    this.#parts.storage
      .refresh(pod, storageContext(pod, this.#ground.ips, this.#parts))
      .catch((error) => this.#event("Warning", "FailedMount", messageOf(error)));
  }

  /** Asks for a pass soon; many asks in one go make one pass. */
  wake(): void {
    if (this.#asked || this.#closed) return;
    this.#asked = true;
    queueMicrotask(() => {
      this.#asked = false;
      if (!this.#closed) this.#pass();
    });
  }

  /** Looks away and leaves everything running. */
  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    this.#reporter.close();
    this.#given.close();
    this.#runs.close();
  }

  #pass(): void {
    const { clock } = this.#parts;
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#resize();
    for (;;) {
      const nowMs = clock.now();
      const step = nextStep(this.#state, this.#wanted(nowMs), this.#runs.records, nowMs);
      if (!this.#apply(step)) break;
    }
    if (!this.#closed) this.#report();
  }

  #resize(): void {
    if (this.#state.phase !== "Up" || this.#pod.metadata?.deletionTimestamp !== undefined) return;
    for (const step of this.#given.resize(this.#pod, this.#runs.records)) this.#runs.apply(step, this.#ground);
  }

  // True when the next step can be asked for at once.
  #apply(step: Step): boolean {
    switch (step.do) {
      case "wait":
        this.#wakeAt(step.untilMs);
        return false;
      case "setUp":
        this.#setUp();
        return false;
      case "containers":
        for (const each of step.steps) this.#runs.apply(each, this.#ground);
        this.#wakeAt(step.untilMs);
        return false;
      case "finish":
        this.#state = { ...step, phase: "Finished", leftovers: "here" };
        return true;
      case "cleanUp":
        this.#cleanUp();
        return false;
      case "tearDown":
        this.#tearDown();
        return false;
      case "forget":
        // Whoever holds its object wants to know how it ended.
        if ((this.#pod.metadata?.finalizers ?? []).length > 0) this.#reporter.flush();
        this.close();
        this.#parts.onGone(this.#pod);
        return false;
      default:
        return unreachable(step);
    }
  }

  #setUp(): void {
    const failures = this.#state.phase === "SetUpFailed" ? this.#state.failures : 0;
    this.#state = { phase: "SettingUp" };
    const { clock, log } = this.#parts;
    const startMs = clock.monotonicMs();
    makeGround(this.#pod, this.#parts).then(
      (ground) => {
        if (this.#closed) return;
        log.debug({ pod: this.uid, durationMs: clock.monotonicMs() - startMs }, "pod set up");
        this.#ground = ground;
        this.#state = { phase: "Up" };
        this.#runs.watch(ground);
        this.wake();
      },
      (error) => {
        if (this.#closed) return;
        const message = messageOf(error);
        const reason = error instanceof SetUpError ? error.part : "FailedCreatePodSandBox";
        // A volume is made once its pod has a node: nothing is wrong as long as it comes.
        if (!isComing(error) || failures >= comingTriesMax) this.#event("Warning", reason, message);
        this.#parts.log.warn({ pod: this.uid, error: message }, "could not set up a pod yet");
        const delayMs = Math.min(setUpRetryMsMax, setUpRetryMsFirst * 2 ** failures);
        this.#state = {
          phase: "SetUpFailed",
          message,
          failures: failures + 1,
          retryAtMs: this.#parts.clock.now() + delayMs,
        };
        this.wake();
      },
    );
  }

  #cleanUp(): void {
    if (this.#state.phase !== "Finished") return;
    const state = this.#state;
    this.#state = { ...state, leftovers: "going" };
    this.#removeGround().then(
      () => {
        if (this.#state.phase === "Finished") this.#state = { ...this.#state, leftovers: "gone" };
        this.wake();
      },
      (error) => {
        this.#parts.log.warn({ pod: this.uid, error: messageOf(error) }, "could not clean up after a pod yet");
        this.#parts.clock.after(setUpRetryMsMax, () => {
          if (this.#state.phase === "Finished") this.#state = { ...this.#state, leftovers: "here" };
          this.wake();
        });
      },
    );
  }

  #tearDown(): void {
    const failures = this.#state.phase === "TearDownFailed" ? this.#state.failures : 0;
    this.#state = { phase: "TearingDown" };
    this.#removeAll().then(
      () => {
        this.#state = { phase: "Gone" };
        this.wake();
      },
      (error) => {
        const message = messageOf(error);
        this.#event("Warning", "FailedKillPod", `error killing pod: ${message}`);
        const delayMs = Math.min(setUpRetryMsMax, setUpRetryMsFirst * 2 ** failures);
        this.#state = { phase: "TearDownFailed", failures: failures + 1, retryAtMs: this.#parts.clock.now() + delayMs };
        this.wake();
      },
    );
  }

  async #removeGround(): Promise<void> {
    await removeGround(this.uid, this.#parts);
    this.#ground = undefined;
  }

  async #removeAll(): Promise<void> {
    const { runtime, images, storage } = this.#parts;
    // A note written late would outlive the pod.
    await this.#saving;
    const ids = new Set(this.#oldIds);
    for (const { name, attempt } of this.#runs.records) {
      ids.add(containerId(this.uid, name, attempt));
      if (attempt > 0) ids.add(containerId(this.uid, name, attempt - 1));
    }
    await Promise.all([...ids].map((id) => runtime.remove(id).then(() => images.removeLayer(id))));
    await this.#removeGround();
    await storage.remove(this.#pod);
  }

  #report(): void {
    // An adopted pod is known to the server; it would only see its address come and go.
    const adopted = this.#ground === undefined && this.#runs.records.some(isAlive);
    if (adopted && this.#state.phase !== "Finished") return;
    if (this.#state.phase === "TearingDown" || this.#state.phase === "Gone") return;
    const nowMs = this.#parts.clock.now();
    const status = podStatus(
      {
        state: this.#state,
        wanted: this.#wanted(nowMs),
        leaving: this.#leaving,
        containers: this.#runs.records,
        ips: this.#ground?.ips ?? (this.#pod.status?.podIPs ?? []).map(({ ip }) => ip),
        hostIp: this.#parts.node.nodeIp,
        previous: this.#reporter.last,
        startedAtMs: this.#startedAtMs,
      },
      nowMs,
    );
    const { intent } = this.#wanted(nowMs);
    const told = this.#given.tell(status, nowMs);
    this.#reporter.offer(told, { ending: intent.do === "stop" && intent.leave === "nothing" });
  }

  #wanted(nowMs: number): Wanted {
    const intent = intentOf(
      {
        pod: this.#pod,
        removed: this.#removed,
        fenced: this.#fenced,
        ending: this.#ending,
        startedAtMs: this.#startedAtMs,
      },
      nowMs,
    );
    const isNews = intent.do === "stop" && this.#stopSinceMs === undefined && this.#pod.status?.phase !== "Failed";
    if (isNews && intent.reason === "DeadlineExceeded") this.#event("Normal", intent.reason, intent.message);
    this.#stopSinceMs = intent.do === "stop" ? (this.#stopSinceMs ?? nowMs) : undefined;
    return { pod: this.#pod, intent, ...(this.#stopSinceMs === undefined ? {} : { stopSinceMs: this.#stopSinceMs }) };
  }

  #wakeAt(untilMs: number | undefined): void {
    const nowMs = this.#parts.clock.now();
    const deadlineMs = this.#state.phase === "Up" ? deadlineOf(this.#pod, this.#startedAtMs) : undefined;
    // What was to come when the pass began may have come meanwhile: a timer is a moment early now and then.
    const dueMs = untilMs === undefined ? Number.POSITIVE_INFINITY : Math.max(untilMs, nowMs + 1);
    const wakeMs = deadlineMs !== undefined && deadlineMs > nowMs ? Math.min(dueMs, deadlineMs) : dueMs;
    if (wakeMs === Number.POSITIVE_INFINITY) return;
    this.#timer?.cancel();
    // Timers of Node.js hold at most 2^31 ms.
    this.#timer = this.#parts.clock.after(Math.min(2 ** 31 - 1, wakeMs - nowMs), () => this.wake());
  }

  // With the status last reported: counts and readiness go on from it after a restart. One write at a time, the latest wins.
  #save(): void {
    if (this.#saving !== undefined) {
      this.#saveAgain = true;
      return;
    }
    if (this.#closed || (this.#state.phase !== "Up" && this.#state.phase !== "Finished")) return;
    this.#saving = this.#parts.storage
      .saveCheckpoint({ ...this.#pod, status: this.#reporter.last })
      .catch((error) => this.#parts.log.warn({ pod: this.uid, error: messageOf(error) }, "could not note a pod"))
      .then(() => {
        this.#saving = undefined;
        if (!this.#saveAgain) return;
        this.#saveAgain = false;
        this.#save();
      });
  }

  #event(type: "Normal" | "Warning", reason: string, message: string): void {
    this.#parts.events.pod(this.#pod, { type, reason, message });
  }
}
