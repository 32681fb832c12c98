// Which ConfigMaps, Secrets and volume claims a pod uses. Pure.
import type { Pod } from "../../api/kinds/generated/types.ts";
import { containersOf } from "./pod-state.ts";

/** `key` is "namespace/name". */
export function usesConfig(pod: Pod, resource: "configmaps" | "secrets", key: string): boolean {
  const [namespace, name] = key.split("/");
  if (namespace !== (pod.metadata?.namespace ?? "default")) return false;
  return configNames(pod, resource).has(name ?? "");
}

/** `key` is "namespace/name" of a claim. */
export function usesClaim(pod: Pod, key: string): boolean {
  const namespace = pod.metadata?.namespace ?? "default";
  return claimNames(pod).some((name) => `${namespace}/${name}` === key);
}

/** Names of the claims that its volumes are of. */
export function claimNames(pod: Pod): readonly string[] {
  return (pod.spec?.volumes ?? []).flatMap(({ persistentVolumeClaim }) => persistentVolumeClaim?.claimName ?? []);
}

function configNames(pod: Pod, resource: "configmaps" | "secrets"): ReadonlySet<string | undefined> {
  const names = new Set<string | undefined>();
  const isMap = resource === "configmaps";
  for (const { container } of containersOf(pod)) {
    const { env = [], envFrom = [] } = container;
    for (const { valueFrom } of env) names.add((isMap ? valueFrom?.configMapKeyRef : valueFrom?.secretKeyRef)?.name);
    for (const from of envFrom) names.add((isMap ? from.configMapRef : from.secretRef)?.name);
  }
  for (const { configMap, secret, projected } of pod.spec?.volumes ?? []) {
    names.add(isMap ? configMap?.name : secret?.secretName);
    for (const source of projected?.sources ?? []) names.add((isMap ? source.configMap : source.secret)?.name);
  }
  if (!isMap) for (const { name } of pod.spec?.imagePullSecrets ?? []) names.add(name);
  return names;
}
