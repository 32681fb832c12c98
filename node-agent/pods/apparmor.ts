// AppArmor profiles of pods: which one a container gets, and pods that a node cannot confine. Pure.
// Source: Kubernetes, "Restrict a Container's Access to Resources with AppArmor".
import type { AppArmorProfile, Container, Pod } from "../../api/kinds/generated/types.ts";
import type { AppArmor } from "../runtime/apparmor.ts";
import { containersOf } from "./pod-state.ts";

const annotationPrefix = "container.apparmor.security.beta.kubernetes.io/";

/** Why the pod is rejected, in the kubelet's words; undefined when the node can do what it asks. */
export function appArmorRefusal(pod: Pod, node: AppArmor): string | undefined {
  const asked = containersOf(pod).map(({ container }) => profileAsked(pod, container)?.type);
  const confined = asked.some((type) => type === "RuntimeDefault" || type === "Localhost");
  if (confined && !node.enabled) return "Cannot enforce AppArmor: AppArmor is not enabled on the host";
  if (asked.includes("RuntimeDefault") && node.defaultProfile === undefined)
    return `Cannot enforce AppArmor: ${node.problem ?? "there is no default profile"}`;
  return undefined;
}

/** The name of a loaded profile; undefined: none. Who asks for nothing gets the default where there is one, unless it is privileged. */
export function appArmorProfile(pod: Pod, container: Container, node: AppArmor): string | undefined {
  const asked = profileAsked(pod, container);
  if (!node.enabled || asked?.type === "Unconfined") return undefined;
  if (asked?.type === "Localhost") return asked.localhostProfile;
  return asked === undefined && container.securityContext?.privileged === true ? undefined : node.defaultProfile;
}

function profileAsked(pod: Pod, container: Container): AppArmorProfile | undefined {
  const annotation = pod.metadata?.annotations?.[`${annotationPrefix}${container.name}`];
  return (
    container.securityContext?.appArmorProfile ??
    fromAnnotation(annotation) ??
    pod.spec?.securityContext?.appArmorProfile
  );
}

/** As pods said it before Kubernetes 1.30. */
function fromAnnotation(text: string | undefined): AppArmorProfile | undefined {
  if (text === "runtime/default") return { type: "RuntimeDefault" };
  if (text === "unconfined") return { type: "Unconfined" };
  return text?.startsWith("localhost/") === true
    ? { type: "Localhost", localhostProfile: text.slice("localhost/".length) }
    : undefined;
}
