// Which ConfigMaps, Secrets and volume claims a pod names: its node may read these and no others.
import type { Container, EnvFromSource, EnvVar, Pod, Volume } from "../kinds/generated/types.ts";

/** "configmaps/namespace/name", "secrets/…" and "persistentvolumeclaims/…", each once. */
export function referencesOf(pod: Pod): readonly string[] {
  const { spec } = pod;
  if (spec === undefined) return [];
  const namespace = pod.metadata?.namespace ?? "";
  const found = new Set<string>();
  const add: Add = (resource, name) => {
    if (name !== undefined && name !== "") found.add(`${resource}/${namespace}/${name}`);
  };
  const containers: readonly Pick<Container, "env" | "envFrom">[] = [
    ...(spec.initContainers ?? []),
    ...spec.containers,
    ...(spec.ephemeralContainers ?? []),
  ];
  for (const { env, envFrom } of containers) addEnvironment(add, env ?? [], envFrom ?? []);
  for (const volume of spec.volumes ?? []) addVolume(add, volume);
  for (const secret of spec.imagePullSecrets ?? []) add("secrets", secret.name);
  return [...found];
}

type Add = (resource: "configmaps" | "secrets" | "persistentvolumeclaims", name: string | undefined) => void;

function addEnvironment(add: Add, env: readonly EnvVar[], envFrom: readonly EnvFromSource[]): void {
  for (const { valueFrom } of env) {
    add("configmaps", valueFrom?.configMapKeyRef?.name);
    add("secrets", valueFrom?.secretKeyRef?.name);
  }
  for (const source of envFrom) {
    add("configmaps", source.configMapRef?.name);
    add("secrets", source.secretRef?.name);
  }
}

function addVolume(add: Add, volume: Volume): void {
  add("configmaps", volume.configMap?.name);
  add("secrets", volume.secret?.secretName);
  add("persistentvolumeclaims", volume.persistentVolumeClaim?.claimName);
  for (const source of volume.projected?.sources ?? []) {
    add("configmaps", source.configMap?.name);
    add("secrets", source.secret?.name);
  }
}
