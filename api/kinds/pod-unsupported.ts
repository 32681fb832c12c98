// What a pod may ask for and Naru does not do yet, so that we say so instead of ignoring it.

const fields = [
  "affinity.podAffinity",
  "affinity.podAntiAffinity",
  "os.name=windows",
  "resourceClaims",
  "schedulingGroup",
  "topologySpreadConstraints[].minDomains",
  "securityContext.seLinuxOptions",
  "securityContext.windowsOptions",
  ...["containers", "initContainers", "ephemeralContainers"].flatMap((list) =>
    [
      "volumeDevices",
      "resources.claims",
      "env[].valueFrom.fileKeyRef",
      "securityContext.seLinuxOptions",
      "securityContext.windowsOptions",
    ].map((field) => `${list}[].${field}`),
  ),
  ...[
    "awsElasticBlockStore",
    "azureDisk",
    "azureFile",
    "cephfs",
    "cinder",
    "csi",
    "ephemeral",
    "fc",
    "flexVolume",
    "flocker",
    "gcePersistentDisk",
    "gitRepo",
    "glusterfs",
    "iscsi",
    "nfs",
    "photonPersistentDisk",
    "portworxVolume",
    "quobyte",
    "rbd",
    "scaleIO",
    "storageos",
    "vsphereVolume",
  ].map((volume) => `volumes[].${volume}`),
];

/** Paths below `spec` of a pod, or below another path for templates: "template.spec". */
export function unsupportedPodFields(prefix = ""): readonly string[] {
  return prefix === "" ? fields : fields.map((field) => `${prefix}.${field}`);
}
