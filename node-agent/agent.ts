// The agent of one node over its interfaces: desired pods in, workers that bring them about, network and node kept to what the server
// says. The same on Linux and in the simulator; main.ts gives it the real parts.
import type {
  ConfigMap,
  Event,
  Node,
  PersistentVolume,
  PersistentVolumeClaim,
  Pod,
  PodStatus,
  RuntimeClass,
  Secret,
} from "../api/kinds/generated/types.ts";
import { keyOf } from "../api/kinds/resource.ts";
import type { Clock } from "../lib/clock.ts";
import type { Logger } from "../lib/log.ts";
import { hostPortsOf } from "./host-ports.ts";
import type { Images } from "./images/images.ts";
import { LocalVolumes } from "./local-volumes.ts";
import type { Network } from "./network/network.ts";
import { adoptedRecords, type FoundPod, planAdoption } from "./pods/adopt.ts";
import type { ConfigLookup } from "./pods/container-env.ts";
import { type EventRecorder, openEventRecorder } from "./pods/events.ts";
import { defaultGraceMs } from "./pods/next-container-step.ts";
import { type NodeRoom, roomRefusal } from "./pods/node-room.ts";
import { removeGround } from "./pods/pod-ground.ts";
import type { PodParts } from "./pods/pod-parts.ts";
import { claimNames, usesClaim, usesConfig } from "./pods/pod-references.ts";
import { PodWorker } from "./pods/pod-worker.ts";
import type { ProbeTransport } from "./pods/probe-transport.ts";
import { QosGroups } from "./pods/qos-groups.ts";
import { type RequestToken, type ServiceTokens, serviceTokens, watchTokens } from "./pods/service-tokens.ts";
import { discard } from "./pods/start-container.ts";
import { messageOf } from "./pods/start-problem.ts";
import type { PodStorage, SavedObject } from "./pods/storage.ts";
import { watchStorageLimits } from "./pods/storage-limits.ts";
import type { Runtime } from "./runtime/runtime.ts";
import type { NodeCache, NodeResource, Reports } from "./session-types.ts";
import { endPods, type ShutdownGroup } from "./shutdown.ts";
import { isStatic } from "./static-pods.ts";
import { StaticWorkers } from "./static-workers.ts";

export interface AgentParts {
  readonly clock: Clock;
  readonly log: Logger;
  readonly runtime: Runtime;
  readonly images: Images;
  readonly network: Network;
  readonly storage: PodStorage;
  readonly transport: ProbeTransport;
  readonly cache: NodeCache;
  readonly reports: Reports;
  readonly node: PodParts["node"];
  /** Why a pod that has just come is not to begin; undefined: it may. */
  readonly refusal?: (pod: Pod) => string | undefined;
  /** Absent: volumes with tokens of service accounts cannot be had. */
  readonly requestToken?: RequestToken;
}

const retryMs = 1000;

/** Adopts what runs, then follows the cache until closed. */
export async function openAgent(parts: AgentParts): Promise<Agent> {
  const agent = new Agent(parts);
  await agent.open();
  return agent;
}

export class Agent {
  readonly events: EventRecorder;
  readonly localVolumes: LocalVolumes;
  readonly #parts: AgentParts;
  readonly #podParts: PodParts;
  readonly #workers = new Map<string, PodWorker>();
  /** Found at the start and not known to be wanted by anyone yet. */
  readonly #strangers = new Map<string, FoundPod>();
  /** ConfigMaps, Secrets and volumes from before a restart, until a server can be heard. */
  readonly #remembered = new Map<string, SavedObject>();
  readonly #statusListeners = new Set<() => void>();
  #checkpoints: readonly Pod[] = [];
  #podCidrs: string | undefined;
  #networkUp = false;
  #networkBusy = false;
  #networkApply = false;
  #endListening = () => {};
  #limits: Disposable | undefined;
  #tokenWatch: Disposable | undefined;
  readonly #tokens: ServiceTokens;
  #closed = false;
  #muted = false;
  readonly #static: StaticWorkers;
  #shuttingDown = false;
  readonly #groups: QosGroups;

  constructor(parts: AgentParts) {
    this.#parts = parts;
    const { clock, node, cache, reports } = parts;
    this.#static = new StaticWorkers({
      cache,
      reports,
      workers: () => this.workers,
      add: (pod) => this.#addWorker(pod),
      runtimeClass: (name) => this.#podParts.lookup.runtimeClass(name),
      refused: (pod, message) => this.events.pod(pod, { type: "Warning", reason: "Failed", message }),
    });
    const send = (event: Event) => {
      const shown = this.#static.shownEvent(event);
      if (shown !== undefined) reports.event(shown);
    };
    this.events = openEventRecorder({ clock, nodeName: node.nodeName, send });
    const tokens = serviceTokens(parts.requestToken, clock);
    this.#tokens = tokens;
    this.#podParts = {
      ...parts,
      events: this.events,
      lookup: this.#lookup(),
      tokens,
      podsHere: () => this.workers.filter(({ hasRoom }) => hasRoom).map(({ allocated }) => allocated),
      services: () => parts.cache.list("services"),
      onStatus: (pod, status) => this.#onStatus(pod, status),
      onGone: (pod) => this.#onGone(pod),
    };
    this.#groups = new QosGroups({ ...parts, pods: this.#podParts.podsHere });
    this.localVolumes = new LocalVolumes({
      ...parts,
      isMounted: (name) => this.#isMounted(name),
      onChange: () => {
        for (const listener of this.#statusListeners) listener();
      },
    });
  }

  get workers(): readonly PodWorker[] {
    return [...this.#workers.values()];
  }

  /** By its own uid, or that of the mirror which the API shows of a static pod. */
  worker(uid: string): PodWorker | undefined {
    return this.#workers.get(uid) ?? this.#workers.get(this.#static.uidOfMirror(uid) ?? "");
  }

  /** Pods are accepted; what the Ready condition of the node says. */
  get networkUp(): boolean {
    return this.#networkUp;
  }

  /** For the hello of a session: these are not to be started elsewhere. */
  runningPodUids(): readonly string[] {
    return [...new Set([...this.#workers.keys(), ...this.#strangers.keys()])];
  }

  /** Calls back when the node's own readiness may have changed. */
  onNodeChange(listener: () => void): void {
    this.#statusListeners.add(listener);
  }

  async open(): Promise<void> {
    const { runtime, storage, cache } = this.#parts;
    // Before a container is removed, which would take an empty group along.
    this.#groups.apply();
    const [containers, sandboxes] = await Promise.all([runtime.list(), runtime.listSandboxes()]);
    for (const found of planAdoption({ containers, sandboxes }).values()) {
      for (const id of found.unfinished) await discard(id, this.#parts);
      this.#strangers.set(found.uid, found);
    }
    this.#checkpoints = await storage.loadCheckpoints();
    await this.#remember();
    // Watches begin before the network stands: it may need the Node object that the session brings.
    this.#endListening = cache.onChange((resource, key) => this.#onChange(resource, key));
    cache.onSynced(() => this.#onSynced());
    this.#tokenWatch = watchTokens(() => this.workers, this.#tokens, this.#parts.clock);
    this.#limits = watchStorageLimits({ ...this.#parts, workers: () => this.workers });
    await this.#setUpNetwork(this.#ownNode());
  }

  /** Leaves everything running. */
  close(): void {
    this.#closed = true;
    this.#limits?.[Symbol.dispose]();
    this.#tokenWatch?.[Symbol.dispose]();
    this.#endListening();
    this.#groups.close();
    for (const worker of this.#workers.values()) worker.close();
  }

  /** What the node's own files ask for: it runs whatever the server says, which is only shown it. */
  setStaticPods(pods: readonly Pod[]): void {
    this.#static.set(pods);
    this.#syncStatic();
  }

  /** The machine goes down: what runs fails in time, what still comes is refused. */
  async shutDown(groups: readonly ShutdownGroup[]): Promise<void> {
    this.#shuttingDown = true;
    for (const listener of this.#statusListeners) listener();
    const { clock, cache } = this.#parts;
    await endPods(this.workers, groups, { clock, endpointSlices: () => cache.list("endpointslices") });
  }

  get shuttingDown(): boolean {
    return this.#shuttingDown;
  }

  /**
   * Ends and removes every pod, as if each had been deleted, in its own grace period but no longer than `graceMsMax`; resolves when nothing
   * is left. Once `hurry` is aborted, nothing gets time any more.
   */
  async stopPods(graceMsMax: number, hurry: AbortSignal = new AbortController().signal): Promise<void> {
    this.#endListening();
    // They end with this run of the node, not for good: the server keeps them.
    this.#muted = true;
    const left = () => this.#workers.size > 0;
    await new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
      for (const worker of this.workers) worker.remove(Math.min(defaultGraceMs(worker.pod), graceMsMax));
      hurry.addEventListener("abort", () => this.workers.map((worker) => worker.remove(0)), { once: true });
      if (!left()) resolve();
    });
    await this.#removeStrangers([...this.#strangers.keys()]);
  }

  #onEmpty: () => void = () => {};

  #onChange(resource: NodeResource, key: string): void {
    if (this.#closed) return;
    const { cache, storage, node } = this.#parts;
    switch (resource) {
      case "pods":
        if (this.#networkUp) this.#syncPod(key);
        return;
      case "configmaps":
      case "secrets":
        this.#save(storage.saveObject(resource, key, cache.get(resource, key)));
        for (const worker of this.#workers.values()) {
          if (usesConfig(worker.pod, resource, key)) worker.sourcesChanged();
        }
        return;
      case "persistentvolumeclaims":
        this.#save(storage.saveObject(resource, key, cache.get(resource, key)));
        for (const worker of this.#workers.values()) if (usesClaim(worker.pod, key)) worker.sourcesChanged();
        return;
      case "persistentvolumes":
        this.#save(storage.saveObject(resource, key, cache.get(resource, key)));
        for (const worker of this.#workers.values()) if (claimNames(worker.pod).length > 0) worker.sourcesChanged();
        this.localVolumes.removeDeleted();
        return;
      case "runtimeclasses":
        this.#save(storage.saveObject(resource, key, cache.get(resource, key)));
        if (this.#networkUp && !this.#muted) this.#static.classChanged(key);
        for (const worker of this.#workers.values())
          if (worker.pod.spec?.runtimeClassName === key) worker.sourcesChanged();
        return;
      case "nodes":
        if (key === node.nodeName) this.#onOwnNode();
        this.#applyCluster();
        return;
      case "services":
      case "endpointslices":
        this.#applyCluster();
        return;
    }
  }

  #isMounted(volumeName: string): boolean {
    const { lookup } = this.#podParts;
    return [...this.#workers.values()].some(({ pod }) =>
      claimNames(pod).some(
        (name) => lookup.claim(pod.metadata?.namespace ?? "", name)?.spec?.volumeName === volumeName,
      ),
    );
  }

  #onOwnNode(): void {
    const node = this.#ownNode();
    if (node === undefined) return;
    this.#setUpNetwork(node).catch((error) =>
      this.#parts.log.error({ error: messageOf(error) }, "network set-up failed"),
    );
  }

  // Once the whole is known, absence means "not wanted": of pods, and of what was found.
  #onSynced(): void {
    if (this.#closed || !this.#networkUp || !this.#parts.cache.synced) return;
    const wanted = new Set(this.#parts.cache.list("pods").map((pod) => pod.metadata?.uid ?? ""));
    for (const { uid, pod } of this.#workers.values()) if (isStatic(pod)) wanted.add(uid);
    for (const pod of this.#parts.cache.list("pods")) this.#syncPod(keyOf(pod));
    for (const worker of this.#workers.values()) if (!wanted.has(worker.uid)) worker.remove();
    const stale = [...this.#strangers.keys()].filter((uid) => !wanted.has(uid));
    this.#removeStrangers(stale).catch(() => {});
    this.#applyCluster();
  }

  #syncPod(key: string): void {
    const pod = this.#parts.cache.get("pods", key);
    const uid = pod?.metadata?.uid ?? "";
    if (this.#static.handles(key, pod)) return;
    // Until all was heard, a pod that is not in the cache may still be wanted.
    if (pod !== undefined || this.#parts.cache.synced) {
      for (const worker of this.#workers.values()) {
        if (worker.uid !== uid && keyOf(worker.pod) === key && !isStatic(worker.pod)) worker.remove();
      }
    }
    if (pod === undefined || uid === "") return;
    const worker = this.#workers.get(uid);
    if (worker === undefined) this.#addWorker(pod);
    else worker.update(pod);
  }

  #room(): NodeRoom {
    const { allocatableCpuMilli, allocatableMemoryBytes, allocatableEphemeralStorageBytes, podsMax } = this.#parts.node;
    const allocatable = {
      cpu: allocatableCpuMilli,
      memory: allocatableMemoryBytes,
      "ephemeral-storage": allocatableEphemeralStorageBytes,
      ...(podsMax === undefined ? {} : { pods: podsMax }),
    };
    return { object: this.#ownNode(), allocatable };
  }

  #syncStatic(): void {
    if (this.#networkUp && !this.#closed && !this.#muted) this.#static.sync();
  }

  #addWorker(pod: Pod): void {
    const uid = pod.metadata?.uid ?? "";
    const found = this.#strangers.get(uid);
    this.#strangers.delete(uid);
    const others = this.#podParts.podsHere();
    const worker = new PodWorker(pod, this.#podParts, {
      containers: found === undefined ? [] : adoptedRecords(pod, found),
      ids: found?.ids ?? new Set(),
      cgroup: found?.cgroup,
    });
    this.#workers.set(uid, worker);
    this.#groups.changed();
    if (hostPortsOf(worker).length > 0) this.#applyCluster();
    const isNew = found === undefined && pod.status?.startTime === undefined;
    const refusal = isNew ? this.#parts.refusal?.(pod) : undefined;
    if (refusal !== undefined) worker.evict(refusal);
    const noRoom = isNew && !isStatic(pod) ? roomRefusal(pod, others, this.#room()) : undefined;
    if (noRoom !== undefined) worker.reject(noRoom);
    if (this.#shuttingDown) worker.shutDown(0);
    worker.wake();
  }

  // Pods' networks need the node's ranges; those are known from the last run, or when the server has given them.
  async #setUpNetwork(node: Node | undefined): Promise<void> {
    const { network, node: facts, log, clock } = this.#parts;
    const podCidrs = node?.spec?.podCIDRs ?? (node?.spec?.podCIDR === undefined ? [] : [node.spec.podCIDR]);
    const text = podCidrs.join(",");
    if (podCidrs.length === 0 || text === this.#podCidrs || this.#networkBusy) return;
    this.#networkBusy = true;
    try {
      await network.setUp({ name: facts.nodeName, nodeIp: facts.nodeIp, podCidrs });
      this.#podCidrs = text;
      if (node !== undefined) this.#save(this.#parts.storage.saveObject("nodes", facts.nodeName, node));
    } catch (error) {
      log.error({ error: messageOf(error) }, "network set-up failed");
      this.events.node({ type: "Warning", reason: "NetworkNotReady", message: messageOf(error) });
      clock.after(retryMs, () => this.#closed || this.#onOwnNode());
      return;
    } finally {
      this.#networkBusy = false;
    }
    if (this.#closed) return;
    if (!this.#networkUp) await this.#begin();
    for (const listener of this.#statusListeners) listener();
    this.#applyCluster();
    // The ranges may have changed meanwhile.
    await this.#setUpNetwork(this.#parts.cache.get("nodes", facts.nodeName));
  }

  async #begin(): Promise<void> {
    for (const uid of await this.#parts.network.attachedPods()) {
      if (!this.#strangers.has(uid))
        this.#strangers.set(uid, { uid, ids: new Set(), cgroup: undefined, unfinished: [], labelled: [] });
    }
    if (this.#closed) return;
    this.#networkUp = true;
    for (const pod of this.#checkpoints) {
      if (!this.#workers.has(pod.metadata?.uid ?? "")) this.#addWorker(pod);
    }
    this.#syncStatic();
    for (const pod of this.#parts.cache.list("pods")) this.#syncPod(keyOf(pod));
    this.#onSynced();
  }

  // All changes of one turn of the event loop make one call.
  #applyCluster(): void {
    const { cache, network, clock } = this.#parts;
    if (this.#networkApply || !this.#networkUp || !cache.synced) return;
    this.#networkApply = true;
    clock.after(0, () => {
      this.#networkApply = false;
      if (this.#closed) return;
      network.applyCluster({
        nodes: cache.list("nodes"),
        services: cache.list("services"),
        endpointSlices: cache.list("endpointslices"),
        hostPorts: this.workers.flatMap(hostPortsOf),
      });
    });
  }

  async #removeStrangers(uids: readonly string[]): Promise<void> {
    for (const uid of uids) {
      const found = this.#strangers.get(uid);
      if (found === undefined) continue;
      const { log } = this.#parts;
      try {
        for (const id of found.ids) await discard(id, this.#parts);
        await removeGround(uid, this.#parts);
        this.#strangers.delete(uid);
      } catch (error) {
        log.warn({ pod: uid, error: messageOf(error) }, "could not remove a stale pod yet");
        this.#parts.clock.after(retryMs, () => void (this.#closed || this.#removeStrangers([uid]).catch(() => {})));
      }
    }
  }

  #onStatus(pod: Pod, status: PodStatus): void {
    this.#groups.changed();
    const shown = this.#static.shown(pod);
    const { namespace = "default", name = "", uid = "" } = shown?.metadata ?? {};
    if (!this.#muted && shown !== undefined) this.#parts.reports.podStatus({ namespace, name, uid }, status);
  }

  #onGone(pod: Pod): void {
    const { namespace = "default", name = "", uid = "" } = pod.metadata ?? {};
    this.#workers.delete(uid);
    this.#groups.changed();
    if (hostPortsOf({ pod, uid }).length > 0) this.#applyCluster();
    this.localVolumes.removeDeleted();
    if (!this.#muted && !isStatic(pod)) this.#parts.reports.podGone({ namespace, name, uid });
    this.#syncStatic();
    if (this.#workers.size === 0) this.#onEmpty();
    // Its object may have come back as wanted meanwhile, which the server will say.
    const now = this.#parts.cache.get("pods", keyOf(pod));
    if (!this.#closed && !this.#muted && now !== undefined && now.metadata?.uid !== uid) this.#syncPod(keyOf(pod));
  }

  #ownNode(): Node | undefined {
    return this.#parts.cache.get("nodes", this.#parts.node.nodeName) ?? this.#rememberedNode;
  }

  #rememberedNode: Node | undefined;

  async #remember(): Promise<void> {
    const { storage, node } = this.#parts;
    for (const resource of [
      "configmaps",
      "secrets",
      "persistentvolumes",
      "persistentvolumeclaims",
      "runtimeclasses",
    ] as const) {
      for (const object of await storage.loadObjects(resource))
        this.#remembered.set(`${resource}/${keyOf(object)}`, object);
    }
    const nodes = await storage.loadObjects("nodes");
    this.#rememberedNode = nodes.find(({ metadata }) => metadata?.name === node.nodeName) as Node | undefined;
  }

  #lookup(): ConfigLookup {
    const { cache } = this.#parts;
    const remembered = <T>(resource: string, key: string): T | undefined =>
      cache.synced ? undefined : (this.#remembered.get(`${resource}/${key}`) as T | undefined);
    return {
      configMap: (namespace, name) =>
        cache.get("configmaps", `${namespace}/${name}`) ?? remembered<ConfigMap>("configmaps", `${namespace}/${name}`),
      secret: (namespace, name) =>
        cache.get("secrets", `${namespace}/${name}`) ?? remembered<Secret>("secrets", `${namespace}/${name}`),
      claim: (namespace, name) =>
        cache.get("persistentvolumeclaims", `${namespace}/${name}`) ??
        remembered<PersistentVolumeClaim>("persistentvolumeclaims", `${namespace}/${name}`),
      persistentVolume: (name) =>
        cache.get("persistentvolumes", name) ?? remembered<PersistentVolume>("persistentvolumes", name),
      runtimeClass: (name) => cache.get("runtimeclasses", name) ?? remembered<RuntimeClass>("runtimeclasses", name),
    };
  }

  #save(saving: Promise<void>): void {
    saving.catch((error) => this.#parts.log.warn({ error: messageOf(error) }, "could not remember an object"));
  }
}
