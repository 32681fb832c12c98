// What a pod's containers stand on: namespaces, address, volumes and files. Made and removed as a whole; both can be asked again.
import type { Container, Pod, Volume } from "../../api/kinds/generated/types.ts";
import { allSettled } from "../../lib/all-settled.ts";
import type { Sandbox } from "../runtime/runtime.ts";
import type { FieldContext } from "./field-values.ts";
import { hostNames } from "./hostname.ts";
import { ensureImage } from "./image-policy.ts";
import type { PodParts } from "./pod-parts.ts";
import { runtimeHandlerOf } from "./runtime-handler.ts";
import { messageOf } from "./start-problem.ts";
import type { StorageContext } from "./storage.ts";

export interface Ground {
  readonly sandbox: Sandbox;
  readonly ips: readonly string[];
  readonly fields: FieldContext;
}

type Part = "FailedCreatePodSandBox" | "FailedMount";

/** Says which part could not be made: the reason of the Event about it. */
export class SetUpError extends Error {
  readonly part: Part;

  constructor(part: Part, cause: unknown) {
    super(part === "FailedCreatePodSandBox" ? `Failed to create pod sandbox: ${messageOf(cause)}` : messageOf(cause), {
      cause,
    });
    this.name = "SetUpError";
    this.part = part;
  }
}

/** Rejects with SetUpError. What was made before a failure is found again the next time, or removed by `removeGround`. */
export async function makeGround(pod: Pod, parts: PodParts): Promise<Ground> {
  parts.tokens.prepare(pod);
  const { sandbox, ips } = await madeOr("FailedCreatePodSandBox", () => makeSandbox(pod, parts));
  const fields: FieldContext = { pod, podIps: ips, node: parts.node };
  await madeOr("FailedMount", async () => parts.storage.setUp(pod, storageContext(pod, ips, parts)));
  return { sandbox, ips, fields };
}

export async function removeGround(
  uid: string,
  { network, runtime, storage }: Pick<PodParts, "network" | "runtime" | "storage">,
): Promise<void> {
  await network.detachPod(uid);
  await runtime.removeSandbox(uid);
  await storage.removeVolumes(uid);
}

export function storageContext(pod: Pod, ips: readonly string[], parts: PodParts): StorageContext {
  const { network, node, lookup } = parts;
  return {
    fields: { pod, podIps: ips, node },
    lookup,
    image: ({ name, image }) => ensureImage(pod, volumeAsContainer(name, image), parts, new AbortController().signal),
    serviceAccountToken: (projection) => parts.tokens.tokenFor(pod, projection),
    names: hostNames(pod, node),
    resolvConf: network.resolvConf(pod.metadata?.namespace ?? "default"),
  };
}

/** Pulled by the same rules as a container's. */
function volumeAsContainer(name: string, image: Volume["image"]): Container {
  const { reference = "", pullPolicy } = image ?? {};
  return { name, image: reference, ...(pullPolicy === undefined ? {} : { imagePullPolicy: pullPolicy }) };
}

async function makeSandbox(
  pod: Pod,
  parts: PodParts,
): Promise<{ readonly sandbox: Sandbox; readonly ips: readonly string[] }> {
  const { runtime, network, storage, node } = parts;
  const { hostNetwork, hostPID, shareProcessNamespace, hostUsers, securityContext } = pod.spec ?? {};
  const uid = pod.metadata?.uid ?? "";
  const idMapping = hostUsers === false ? await storage.userRange(pod) : undefined;
  const handler = await runtimeHandlerOf(pod, parts);
  const making = runtime.createSandbox(uid, {
    hostname: hostNames(pod, node).kernelName,
    hostNetwork: hostNetwork === true,
    sysctls: Object.fromEntries((securityContext?.sysctls ?? []).map(({ name, value }) => [name, value])),
    ...(idMapping === undefined ? {} : { idMapping }),
    sharePids: shareProcessNamespace === true && hostPID !== true,
    ...(handler === undefined ? {} : { runtime: handler }),
  });
  // Found without the other after a kill, neither does harm: the server tells of the pod again.
  const [sandbox] = await allSettled(making, storage.saveCheckpoint(pod));
  if (hostNetwork === true) return { sandbox, ips: [node.nodeIp] };
  const { ips } = await network.attachPod(uid, sandbox.networkPath);
  return { sandbox, ips };
}

async function madeOr<T>(part: Part, make: () => Promise<T>): Promise<T> {
  try {
    return await make();
  } catch (cause) {
    throw new SetUpError(part, cause);
  }
}
