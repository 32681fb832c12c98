// Pods' storage for the simulator: nothing touches a disk; checkpoints survive a restart of the simulated agent.
import type { Pod } from "../../api/kinds/generated/types.ts";
import { volumeTypes } from "../volumes/list.ts";
import { VolumeComingError, VolumeError } from "../volumes/volume-type.ts";
import type { PodStorage, SavedObject, StorageContext } from "./storage.ts";

/** The maps are the simulated disk: hand the same ones to the next agent of the node. `refreshed`: told whose files follow which pod. */
export function openMemoryStorage(
  checkpoints: Map<string, Pod> = new Map(),
  objects: Map<string, SavedObject> = new Map(),
  refreshed: (pod: Pod) => void = () => {},
): PodStorage {
  return {
    setUp: async (pod, context) => checkVolumes(pod, context),
    userRange: async () => ({ hostId: 65_536, size: 65_536 }),
    refresh: async (pod) => refreshed(pod),
    containerMounts: async () => [],
    freeBytes: async () => Number.MAX_SAFE_INTEGER,
    volumeBytes: async () => 0,
    containerBytes: async () => 0,
    diskUse: async (_pod, containers) => ({
      containers: containers.map(() => ({ bytes: 0, inodes: 0 })),
      volumes: { bytes: 0, inodes: 0 },
    }),
    terminationMessage: async () => "",
    logPath: (pod, name, attempt) => `/simulated/${pod.metadata?.uid ?? ""}/${name}/${attempt}.log`,
    removeRunsBefore: async () => {},
    localVolumes: () => [],
    removeLocalVolume: async () => {},
    removeVolumes: async () => {},
    remove: async (pod) => {
      checkpoints.delete(pod.metadata?.uid ?? "");
    },
    saveCheckpoint: async (pod) => {
      checkpoints.set(pod.metadata?.uid ?? "", pod);
    },
    loadCheckpoints: async () => [...checkpoints.values()],
    saveObject: async (resource, key, object) => {
      if (object === undefined) objects.delete(`${resource}/${key}`);
      else objects.set(`${resource}/${key}`, object);
    },
    loadObjects: async (resource) =>
      [...objects].flatMap(([key, object]) => (key.startsWith(`${resource}/`) ? [object] : [])),
    tearDown: async () => {},
    seccompProfile: () => ({}),
  };
}

function checkVolumes(pod: Pod, { lookup }: StorageContext): void {
  const namespace = pod.metadata?.namespace ?? "default";
  for (const volume of pod.spec?.volumes ?? []) {
    const fail = (message: string) => {
      throw new VolumeError(`MountVolume.SetUp failed for volume "${volume.name}" : ${message}`);
    };
    const { configMap, secret, persistentVolumeClaim } = volume;
    const claim = persistentVolumeClaim && lookup.claim(namespace, persistentVolumeClaim.claimName ?? "");
    if (claim !== undefined && (claim.spec?.volumeName ?? "") === "")
      throw new VolumeComingError(`persistentvolumeclaim "${claim.metadata?.name}" is not bound to a volume yet`);
    if (
      configMap !== undefined &&
      configMap.optional !== true &&
      lookup.configMap(namespace, configMap.name ?? "") === undefined
    ) {
      fail(`configmap "${configMap.name ?? ""}" not found`);
    }
    if (
      secret !== undefined &&
      secret.optional !== true &&
      lookup.secret(namespace, secret.secretName ?? "") === undefined
    ) {
      fail(`secret "${secret.secretName ?? ""}" not found`);
    }
    const field = Object.keys(volume).find((key) => key !== "name");
    if (field !== undefined && !volumeTypes.some((type) => type.field === field))
      fail(`volume type ${field} is not supported`);
  }
}
