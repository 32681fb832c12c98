// Brings one run of a container from its image to its process. Everything half-made is removed when it cannot be.
import type { Container, Pod } from "../../api/kinds/generated/types.ts";
import { allSettled } from "../../lib/all-settled.ts";
import type { Image } from "../images/images.ts";
import { LaunchError, type Sandbox } from "../runtime/runtime.ts";
import { VolumeError } from "../volumes/volume-type.ts";
import { ConfigError, containerEnv } from "./container-env.ts";
import { type ContainerLabels, containerId, readLabels } from "./container-labels.ts";
import { containerSpec } from "./container-spec.ts";
import type { FieldContext } from "./field-values.ts";
import { hostNames } from "./hostname.ts";
import { ensureImage } from "./image-policy.ts";
import type { PodParts } from "./pod-parts.ts";
import type { ContainerRole } from "./pod-state.ts";
import { userToResolve } from "./security.ts";
import { serviceEnv } from "./service-env.ts";
import { messageOf, StartProblem } from "./start-problem.ts";

export interface StartRequest {
  readonly pod: Pod;
  readonly container: Container;
  readonly role: ContainerRole;
  readonly attempt: number;
  readonly sandbox: Sandbox;
  readonly cgroup: string;
  readonly fields: FieldContext;
}

/** Resolves with what the run is labelled with. Rejects with StartProblem, LaunchError or the signal's reason. */
export async function startContainer(
  request: StartRequest,
  parts: PodParts,
  signal: AbortSignal,
): Promise<ContainerLabels | undefined> {
  const { pod, container, attempt } = request;
  const { runtime, events } = parts;
  const id = containerId(pod.metadata?.uid ?? "", container.name, attempt);
  const event = (type: "Normal" | "Warning", reason: string, message: string) =>
    events.pod(pod, { type, reason, message, container: container.name });
  const image = await ensureImage(pod, container, parts, signal);
  try {
    const spec = await makeSpec(request, image, parts);
    signal.throwIfAborted();
    await runtime.create(spec);
    event("Normal", "Created", `Container created: ${container.name}`);
    signal.throwIfAborted();
    // Who asked for a container to talk to once (`kubectl run -i`) is on the way to it, and misses nothing.
    await runtime.start(id, { holdOutput: container.stdinOnce === true && attempt === 0 });
    event("Normal", "Started", `Container started: ${container.name}`);
    return readLabels(spec);
  } catch (error) {
    await discard(id, parts);
    signal.throwIfAborted();
    throw explain(error, container, event);
  }
}

async function makeSpec(
  { pod, container, role, attempt, sandbox, cgroup, fields }: StartRequest,
  image: Image,
  parts: PodParts,
) {
  const { images, storage, node } = parts;
  const id = containerId(pod.metadata?.uid ?? "", container.name, attempt);
  const namespace = pod.metadata?.namespace ?? "default";
  const env = containerEnv({
    container,
    imageEnv: image.config.env,
    services: serviceEnv(parts.services(), namespace, pod.spec?.enableServiceLinks !== false),
    fields,
    lookup: parts.lookup,
  });
  const prepareRoot = async () => {
    const layer = await images.prepareLayer(id, image);
    return {
      rootfs: layer.rootfs,
      imageUser: await layer.resolveUser(userToResolve(pod, container, image.config.user)),
    };
  };
  const [{ rootfs, imageUser }, mounts] = await allSettled(
    prepareRoot(),
    storage.containerMounts(pod, container, { attempt, env }),
  );
  const targetPidPath = await findTarget(pod, container, parts);
  return containerSpec({
    pod,
    container,
    role,
    attempt,
    image,
    imageUser,
    env,
    rootfs,
    mounts,
    sandbox,
    cgroup,
    targetPidPath,
    hostname: hostNames(pod, node).kernelName,
    logPath: storage.logPath(pod, container.name, attempt),
    memoryCapacityBytes: node.memoryCapacityBytes,
    seccompProfile: storage.seccompProfile,
    appArmor: node.appArmor,
  });
}

// Containers of a pod that shares its processes see each other's anyway.
async function findTarget(pod: Pod, container: Container, { runtime }: PodParts): Promise<string | undefined> {
  const target = pod.spec?.ephemeralContainers?.find(({ name }) => name === container.name)?.targetContainerName ?? "";
  if (target === "" || pod.spec?.shareProcessNamespace === true || pod.spec?.hostPID === true) return undefined;
  for (const found of await runtime.list()) {
    const labels = readLabels(found);
    if (labels?.podUid !== pod.metadata?.uid || labels?.name !== target || found.state.status !== "running") continue;
    return `/proc/${found.state.pid}/ns/pid`;
  }
  throw new StartProblem("CreateContainerError", `the container ${target} that it is to look at does not run`);
}

function explain(
  error: unknown,
  container: Container,
  event: (type: "Warning", reason: string, message: string) => void,
): Error {
  if (error instanceof LaunchError && error.subPathOf !== undefined) {
    const mount = container.volumeMounts?.find(({ mountPath }) => mountPath === error.subPathOf);
    const what = `failed to prepare subPath for volumeMount "${mount?.name}" of container "${container.name}"`;
    event("Warning", "Failed", `Error: ${what}: ${error.message}`);
    return new StartProblem("CreateContainerConfigError", `${what}: ${error.message}`, { cause: error });
  }
  if (error instanceof LaunchError) {
    event("Warning", "Failed", `Error: ${error.message}`);
    return error;
  }
  const reason =
    error instanceof ConfigError || error instanceof VolumeError
      ? "CreateContainerConfigError"
      : "CreateContainerError";
  event("Warning", "Failed", `Error: ${messageOf(error)}`);
  return new StartProblem(reason, messageOf(error), { cause: error });
}

/** Removes a run and its writable layer; what cannot be removed now goes with the pod. */
export async function discard(
  id: string,
  { runtime, images, log }: Pick<PodParts, "runtime" | "images" | "log">,
): Promise<void> {
  try {
    await runtime.remove(id);
    await images.removeLayer(id);
  } catch (error) {
    log.warn({ container: id, error: messageOf(error) }, "could not remove a container yet");
  }
}
