// Gets a container's image by its pull policy, with the words and events that Kubernetes' users know.
import type { Container, Pod } from "../../api/kinds/generated/types.ts";
import type { Clock } from "../../lib/clock.ts";
import { type Image, type Images, PullError } from "../images/images.ts";
import { parseReference } from "../images/reference.ts";
import type { ConfigLookup } from "./container-env.ts";
import type { EventRecorder } from "./events.ts";
import { pullCredentials } from "./pull-secrets.ts";
import { messageOf, StartProblem } from "./start-problem.ts";

export interface ImageParts {
  readonly images: Images;
  readonly events: EventRecorder;
  readonly lookup: ConfigLookup;
  readonly clock: Clock;
}

/** Rejects with StartProblem, or with the signal's reason. */
export async function ensureImage(
  pod: Pod,
  container: Container,
  parts: ImageParts,
  signal: AbortSignal,
): Promise<Image> {
  const { images, events, clock } = parts;
  const reference = container.image ?? "";
  const policy = container.imagePullPolicy ?? (isMoving(reference) ? "Always" : "IfNotPresent");
  const event = (type: "Normal" | "Warning", reason: string, message: string) =>
    events.pod(pod, { type, reason, message, container: container.name });
  if (reference === "") throw new StartProblem("InvalidImageName", `container ${container.name} names no image`);
  if (policy !== "Always") {
    const found = await find(images, reference);
    if (found !== undefined) {
      event("Normal", "Pulled", `Container image "${reference}" already present on machine`);
      return found;
    }
    if (policy === "Never") {
      const message = `Container image "${reference}" is not present with pull policy of Never`;
      event("Warning", "ErrImageNeverPull", message);
      throw new StartProblem("ErrImageNeverPull", message);
    }
  }
  event("Normal", "Pulling", `Pulling image "${reference}"`);
  const startMs = clock.monotonicMs();
  try {
    const image = await images.pull(reference, { credentials: credentials(pod, reference, parts.lookup), signal });
    const seconds = ((clock.monotonicMs() - startMs) / 1000).toFixed(3);
    event(
      "Normal",
      "Pulled",
      `Successfully pulled image "${reference}" in ${seconds}s. Image size: ${image.sizeBytes} bytes.`,
    );
    return image;
  } catch (cause) {
    signal.throwIfAborted();
    const invalid = cause instanceof PullError && cause.failure === "InvalidImageName";
    const reason = invalid ? "InvalidImageName" : "ErrImagePull";
    const message = `failed to pull image "${reference}": ${messageOf(cause)}`;
    event("Warning", invalid ? "InspectFailed" : "Failed", `F${message.slice(1)}`);
    event("Warning", "Failed", `Error: ${reason}`);
    throw new StartProblem(reason, message, { cause });
  }
}

async function find(images: Images, reference: string): Promise<Image | undefined> {
  try {
    return await images.find(reference);
  } catch (cause) {
    throw new StartProblem("InvalidImageName", `invalid image name "${reference}": ${messageOf(cause)}`, { cause });
  }
}

function credentials(pod: Pod, reference: string, lookup: ConfigLookup) {
  const namespace = pod.metadata?.namespace ?? "default";
  const secrets = (pod.spec?.imagePullSecrets ?? []).flatMap(({ name = "" }) => lookup.secret(namespace, name) ?? []);
  if (secrets.length === 0) return [];
  const { registry, repository } = parseReference(reference);
  return pullCredentials(secrets, `${registry}/${repository}`);
}

// ":latest", or neither tag nor digest: what it names may change.
function isMoving(reference: string): boolean {
  const last = reference.slice(reference.lastIndexOf("/") + 1);
  return !last.includes("@") && (!last.includes(":") || last.endsWith(":latest"));
}
