// The joint between the agent and its session with the server: what comes down (desired state), what goes up (reports), streams.
import type {
  ConfigMap,
  EndpointSlice,
  Event,
  Node,
  NodeStatus,
  PersistentVolume,
  PersistentVolumeClaim,
  Pod,
  PodStatus,
  RuntimeClass,
  Secret,
  Service,
} from "../api/kinds/generated/types.ts";
import type { StreamOpen } from "../proto/generated/node_pb.ts";
import type { RequestToken } from "./pods/service-tokens.ts";

/** What the server sends to a node: just what concerns it. */
export interface NodeObjects {
  readonly pods: Pod;
  readonly configmaps: ConfigMap;
  readonly secrets: Secret;
  readonly persistentvolumes: PersistentVolume;
  readonly persistentvolumeclaims: PersistentVolumeClaim;
  readonly nodes: Node;
  readonly services: Service;
  readonly endpointslices: EndpointSlice;
  readonly runtimeclasses: RuntimeClass;
}

export type NodeResource = keyof NodeObjects;

/** Desired state as last heard. Objects are shared: never change them. */
export interface NodeCache {
  /** By "namespace/name", or "name" for nodes. */
  get<R extends NodeResource>(resource: R, key: string): NodeObjects[R] | undefined;
  list<R extends NodeResource>(resource: R): readonly NodeObjects[R][];
  /** True once a full assignment has been applied since the agent started: only then does absence mean "not wanted". */
  readonly synced: boolean;
  /**
   * Calls back after each change with what to look at; also for objects that went. Once with the first full assignment's last object
   * `synced` is true before the call. Returns how to stop.
   */
  onChange(listener: (resource: NodeResource, key: string) => void): () => void;
  /** Calls back once the cache is synced (at once when it is). */
  onSynced(listener: () => void): void;
}

export interface PodName {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
}

/**
 * What the agent tells the server. All calls return at once and are level-triggered: the session keeps the latest status of each pod
 * and of the node, and "gone" until a full assignment without that pod, and sends them again after a break. Events are sent once.
 */
export interface Reports {
  podStatus(pod: PodName, status: PodStatus): void;
  podGone(pod: PodName): void;
  nodeStatus(status: NodeStatus): void;
  event(event: Event): void;
  /** All static pods of the node, as the API is to show them. */
  mirrorPods(pods: readonly Pod[]): void;
}

/** One log, exec, attach, port-forward or image stream that the server asked for. */
export interface NodeStream {
  readonly request: StreamOpen["request"];
  /** What comes from the client, in order; ends with the stream. */
  readonly input: AsyncIterable<StreamInput>;
  /** Resolves when the transport takes more: callers wait for it, so that a slow reader slows its source. */
  send(output: StreamOutput): Promise<void>;
  /** Aborted when the client or the connection went away. */
  readonly signal: AbortSignal;
}

export type StreamInput =
  | { readonly type: "stdin"; readonly data: Uint8Array }
  | { readonly type: "stdinEnd" }
  | { readonly type: "resize"; readonly columns: number; readonly rows: number };

export type StreamOutput =
  | { readonly type: "stdout"; readonly data: Uint8Array }
  | { readonly type: "stderr"; readonly data: Uint8Array };

/** How a stream ended; becomes its last frame. */
export interface StreamEnd {
  readonly exitCode: number;
  /** Why it could not be done, as a user should read it; "" when it could. */
  readonly error: string;
}

/** Serves one stream to its end. A rejection becomes an end with exit code 1 and the error's message. */
export type StreamHandler = (stream: NodeStream) => Promise<StreamEnd>;

/** Whether the server hears this node; times are the clock's monotonicMs. */
export interface ConnectionState {
  /** False also while a connection stands on which nothing is answered. */
  readonly connected: boolean;
  /** When `connected` last changed. */
  readonly sinceMs: number;
  /**
   * Everything sent up to then has certainly reached the server: no server can have counted this node as silent before. Fencing counts
   * from here. Undefined before the first answer.
   */
  readonly confirmedMs: number | undefined;
}

/** What main.ts asks of the session. */
export interface AgentSession {
  readonly cache: NodeCache;
  readonly reports: Reports;
  /** Rejects when the server refuses, or does not answer in time. */
  readonly requestToken: RequestToken;
  readonly connection: ConnectionState;
  /** Calls back when `connection.connected` changes. Returns how to stop. */
  onConnectionChange(listener: (state: ConnectionState) => void): () => void;
  /** Connects and reconnects until aborted. */
  run(signal: AbortSignal): Promise<void>;
  /** Announces a planned stop; resolves when the server has it, or after a short wait when no server can be reached. */
  goodbye(backWithinMs: number): Promise<void>;
}

/** What the session is made from, beside its transport. */
export interface SessionOptions {
  /** The Node object for hello: name, labels, taints, status. Called at each connection. */
  readonly node: () => Node;
  readonly agentVersion: string;
  readonly runningPodUids: () => readonly string[];
  readonly onStream: StreamHandler;
}
