// A node's network: pods' links, routes to other nodes, services, names. Implementations: linux, and one for the simulator.
import type { EndpointSlice, Node, Service } from "../../api/kinds/generated/types.ts";
import type { HostPort } from "./host-ports.ts";

export interface PodNetwork {
  readonly ips: readonly string[];
}

/** Everything the node must know of the cluster; level-triggered: each call carries the whole. */
export interface ClusterNetworkState {
  readonly nodes: readonly Node[];
  readonly services: readonly Service[];
  readonly endpointSlices: readonly EndpointSlice[];
  /** Of the pods that are here; open as soon as a pod is attached. */
  readonly hostPorts: readonly HostPort[];
}

export interface Network {
  /** Once at start, and again when the node's ranges are known or change. */
  setUp(node: { readonly name: string; readonly nodeIp: string; readonly podCidrs: readonly string[] }): Promise<void>;
  /** Links a pod's network namespace to the node; again for the same pod: the same address. */
  attachPod(podUid: string, networkPath: string): Promise<PodNetwork>;
  /** Frees its address and link; silent when unknown. */
  detachPod(podUid: string): Promise<void>;
  /** Brings routes, services and names to this state; coalesces calls that come faster than it can apply. */
  applyCluster(state: ClusterNetworkState): void;
  /** Pods that hold an address, for clean-up after a restart. */
  attachedPods(): Promise<readonly string[]>;
  /** Lines of a pod's resolv.conf for dnsPolicy ClusterFirst. */
  resolvConf(namespace: string): string;
  /** Removes every link, route and rule made on this node. */
  tearDown(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}
