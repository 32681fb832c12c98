// securityContext of pod and container as the runtime takes it. Pure.
import type { Container, Pod } from "../../api/kinds/generated/types.ts";
import { capabilityNames, defaultCapabilities, defaultMaskedPaths, defaultReadonlyPaths } from "../runtime/defaults.ts";
import type { ContainerSpec } from "../runtime/runtime.ts";
import { ConfigError } from "./container-env.ts";

export interface UnixUser {
  readonly uid: number;
  readonly gid: number;
  readonly additionalGids: readonly number[];
}

/** Whom to look up in the image's passwd and group: the pod's choice, else the image's. */
export function userToResolve(pod: Pod, container: Container, imageUserName: string): string {
  const runAsUser = container.securityContext?.runAsUser ?? pod.spec?.securityContext?.runAsUser;
  return runAsUser === undefined ? imageUserName : String(runAsUser);
}

/** The user of all of a pod's containers, where each says one and it is the same. */
export function onlyUser({ spec }: Pod): number | undefined {
  const users = [...(spec?.initContainers ?? []), ...(spec?.containers ?? [])].map(
    ({ securityContext }) => securityContext?.runAsUser ?? spec?.securityContext?.runAsUser,
  );
  return new Set(users).size === 1 ? users[0] : undefined;
}

/** User and groups, `resolved` being what the image says of them; throws ConfigError when runAsNonRoot forbids what comes out. */
export function containerUser(pod: Pod, container: Container, resolved: UnixUser): UnixUser {
  const forPod = pod.spec?.securityContext ?? {};
  const own = container.securityContext ?? {};
  const { uid } = resolved;
  if ((own.runAsNonRoot ?? forPod.runAsNonRoot) === true && uid === 0) {
    const { name = "", namespace = "default", uid: podUid = "" } = pod.metadata ?? {};
    const why =
      (own.runAsUser ?? forPod.runAsUser) === undefined
        ? "container has runAsNonRoot and image will run as root"
        : "container's runAsUser breaks non-root policy";
    throw new ConfigError(`${why} (pod: "${name}_${namespace}(${podUid})", container: ${container.name})`);
  }
  const groups = [
    ...(forPod.supplementalGroupsPolicy === "Strict" ? [] : resolved.additionalGids),
    ...(forPod.supplementalGroups ?? []),
    ...(forPod.fsGroup === undefined ? [] : [forPod.fsGroup]),
  ];
  return { uid, gid: own.runAsGroup ?? forPod.runAsGroup ?? resolved.gid, additionalGids: [...new Set(groups)] };
}

type Confinement = Pick<
  ContainerSpec,
  "capabilities" | "noNewPrivileges" | "privileged" | "seccomp" | "maskedPaths" | "readonlyPaths" | "readonlyRootfs"
>;

/** What holds a container in. `seccompProfile` reads a Localhost profile. */
export function confinement(pod: Pod, container: Container, seccompProfile: (name: string) => unknown): Confinement {
  const own = container.securityContext ?? {};
  const privileged = own.privileged === true;
  const bare = privileged || own.procMount === "Unmasked";
  return {
    capabilities: capabilities(privileged, own.capabilities?.add ?? [], own.capabilities?.drop ?? []),
    noNewPrivileges: own.allowPrivilegeEscalation === false && !privileged,
    privileged,
    seccomp: privileged ? "unconfined" : seccomp(),
    maskedPaths: bare ? [] : defaultMaskedPaths,
    readonlyPaths: bare ? [] : defaultReadonlyPaths,
    readonlyRootfs: own.readOnlyRootFilesystem === true,
  };

  function seccomp(): ContainerSpec["seccomp"] {
    const profile = own.seccompProfile ?? pod.spec?.securityContext?.seccompProfile;
    if (profile?.type === "Unconfined") return "unconfined";
    if (profile?.type === "Localhost") return { profile: seccompProfile(profile.localhostProfile ?? "") };
    // Kubernetes leaves containers unconfined when nothing is said; here the runtime's profile is the default.
    return "default";
  }
}

function capabilities(privileged: boolean, add: readonly string[], drop: readonly string[]): readonly string[] {
  if (privileged) return capabilityNames;
  const added = add.map(capabilityName);
  const dropped = drop.map(capabilityName);
  const base = added.includes("CAP_ALL") ? capabilityNames : dropped.includes("CAP_ALL") ? [] : defaultCapabilities;
  const set = new Set(base.filter((name) => !dropped.includes(name)));
  for (const name of added) if (name !== "CAP_ALL") set.add(name);
  const unknown = [...set].find((name) => !capabilityNames.includes(name));
  if (unknown !== undefined) throw new ConfigError(`unknown capability ${unknown.slice("CAP_".length)}`);
  return capabilityNames.filter((name) => set.has(name));
}

function capabilityName(name: string): string {
  const upper = name.toUpperCase();
  return upper.startsWith("CAP_") ? upper : `CAP_${upper}`;
}
