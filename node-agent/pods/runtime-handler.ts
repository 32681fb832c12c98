// What makes a pod's containers, by its RuntimeClass, in the kubelet's words when it cannot be had.
import { isDeepStrictEqual } from "node:util";
import type { Pod, RuntimeClass } from "../../api/kinds/generated/types.ts";
import type { PodParts } from "./pod-parts.ts";

/**
 * What the API's admission does for others is done here for pods of the node's own files: they get the overhead of their class. Throws
 * when they say another one.
 */
export function withClass(pod: Pod, lookup: (name: string) => RuntimeClass | undefined): Pod {
  const { spec } = pod;
  const podFixed = lookup(spec?.runtimeClassName ?? "")?.overhead?.podFixed;
  if (spec === undefined || podFixed === undefined || isDeepStrictEqual(spec.overhead, podFixed)) return pod;
  if (spec.overhead !== undefined)
    throw new Error("pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead");
  return { ...pod, spec: { ...spec, overhead: podFixed } };
}

/** The handler; undefined for a pod that names no class. Rejects when the class or the handler is not there, or cannot do what the pod asks. */
export async function runtimeHandlerOf(
  pod: Pod,
  { lookup, runtime }: Pick<PodParts, "lookup" | "runtime">,
): Promise<string | undefined> {
  const { runtimeClassName: name = "", hostUsers } = pod.spec ?? {};
  if (name === "") return undefined;
  // What its containers run by stays so, whatever becomes of the class.
  const made = (await runtime.listSandboxes()).find(({ id }) => id === pod.metadata?.uid)?.runtime;
  const handler = made ?? lookup.runtimeClass(name)?.handler;
  if (handler === undefined)
    throw new Error(
      `failed to lookup RuntimeClass ${name}: runtimeclass.node.k8s.io ${JSON.stringify(name)} not found`,
    );
  const known = runtime.handlers.find((each) => each.name === handler);
  if (hostUsers === false && known?.features.userNamespaces === false)
    throw new Error(
      `can't set spec.hostUsers: false, RuntimeClass handler ${JSON.stringify(handler)} does not support user namespaces`,
    );
  return handler;
}
