// The labels that tie a runtime's container to its pod: all that an agent needs to adopt it after a restart. Pure.
import type { Container as RuntimeContainer } from "../runtime/runtime.ts";
import type { ContainerRole } from "./pod-state.ts";
import type { UnixUser } from "./security.ts";

export interface ContainerLabels {
  readonly podUid: string;
  readonly podNamespace: string;
  readonly podName: string;
  readonly name: string;
  readonly role: ContainerRole;
  readonly attempt: number;
  /** The image as the pod's spec names it. */
  readonly image: string;
  /** Config digest of the image. */
  readonly imageId: string;
  /** As a registry has it: "repository@sha256:…"; the config's digest of one that came otherwise. */
  readonly imagePin: string;
  /** Whom its first process began as. */
  readonly user: UnixUser | undefined;
}

const prefix = "naru.pod/";

export function writeLabels(labels: ContainerLabels): Readonly<Record<string, string>> {
  return {
    [`${prefix}uid`]: labels.podUid,
    [`${prefix}namespace`]: labels.podNamespace,
    [`${prefix}name`]: labels.podName,
    [`${prefix}container`]: labels.name,
    [`${prefix}role`]: labels.role,
    [`${prefix}attempt`]: String(labels.attempt),
    [`${prefix}image`]: labels.image,
    [`${prefix}image-id`]: labels.imageId,
    [`${prefix}image-pin`]: labels.imagePin,
    ...(labels.user === undefined ? {} : { [`${prefix}user`]: JSON.stringify(labels.user) }),
  };
}

/** undefined for a container that belongs to no pod. */
export function readLabels(container: Pick<RuntimeContainer, "labels">): ContainerLabels | undefined {
  const get = (key: string) => container.labels[prefix + key] ?? "";
  const role = get("role");
  const attempt = Number(get("attempt"));
  if (get("uid") === "" || get("container") === "" || !Number.isSafeInteger(attempt)) return undefined;
  return {
    podUid: get("uid"),
    podNamespace: get("namespace"),
    podName: get("name"),
    name: get("container"),
    role: role === "init" || role === "sidecar" || role === "ephemeral" ? role : "main",
    attempt,
    image: get("image"),
    imageId: get("image-id"),
    imagePin: get("image-pin"),
    user: readUser(get("user")),
  };
}

// Written by this agent or an earlier one.
function readUser(text: string): UnixUser | undefined {
  return text === "" ? undefined : (JSON.parse(text) as UnixUser);
}

/** Unique on the node, and the same for the same run of the same container. */
export function containerId(podUid: string, name: string, attempt: number): string {
  return `${podUid}.${name}.${attempt}`;
}
