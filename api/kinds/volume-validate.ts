// Rules of a pod's volumes, and of how a container mounts them.
import type { Container, Volume, VolumeMount } from "./generated/types.ts";
import type { FieldError } from "./kind.ts";
import { complaints, duplicates } from "./metadata.ts";
import { forbidden, invalid, required, unsupported } from "./schema/field-error.ts";
import { dns1123Label } from "./schema/names.ts";
import { at, child } from "./schema/path.ts";
import { parseQuantity } from "./schema/quantity.ts";
import { downwardErrors, keyErrors, modeErrors, pathErrors, projectedErrors } from "./volume-files-validate.ts";

const hostPathTypes = [
  ...["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"],
];

export function volumeErrors(volume: Volume, path: string): readonly FieldError[] {
  const sources = Object.keys(volume).filter((name) => name !== "name");
  const { secret, configMap, downwardAPI, projected, persistentVolumeClaim: claim } = volume;
  return [
    ...(volume.name ? complaints(child(path, "name"), volume.name, dns1123Label) : [required(child(path, "name"))]),
    ...(sources.length === 0 ? [required(path, "must specify a volume type")] : []),
    ...sources.slice(1).map((name) => forbidden(child(path, name), "may not specify more than 1 volume type")),
    ...hostPathErrors(volume, child(path, "hostPath")),
    ...emptyDirErrors(volume, child(path, "emptyDir")),
    ...imageErrors(volume, child(path, "image")),
    ...(secret !== undefined && !secret.secretName ? [required(child(path, "secret.secretName"))] : []),
    ...(configMap !== undefined && !configMap.name ? [required(child(path, "configMap.name"))] : []),
    ...modeErrors(secret?.defaultMode, child(path, "secret.defaultMode")),
    ...modeErrors(configMap?.defaultMode, child(path, "configMap.defaultMode")),
    ...modeErrors(downwardAPI?.defaultMode, child(path, "downwardAPI.defaultMode")),
    ...modeErrors(projected?.defaultMode, child(path, "projected.defaultMode")),
    ...keyErrors(secret?.items, child(path, "secret.items")),
    ...keyErrors(configMap?.items, child(path, "configMap.items")),
    ...downwardErrors(downwardAPI?.items, child(path, "downwardAPI.items")),
    ...projectedErrors(projected ?? {}, child(path, "projected")),
    ...(claim !== undefined && !claim.claimName ? [required(child(path, "persistentVolumeClaim.claimName"))] : []),
  ];
}

export function mountErrors(container: Container, path: string, volumes: ReadonlySet<string>): readonly FieldError[] {
  const mounts = container.volumeMounts ?? [];
  return [
    ...mounts.flatMap((mount, i) => [
      ...(mount.name ? [] : [required(child(at(path, i), "name"))]),
      ...(mount.name && !volumes.has(mount.name)
        ? [
            {
              field: child(at(path, i), "name"),
              type: "invalid" as const,
              message: `Not found: ${JSON.stringify(mount.name)}`,
            },
          ]
        : []),
      ...(mount.mountPath ? [] : [required(child(at(path, i), "mountPath"))]),
      ...(mount.mountPath?.includes(":") === true
        ? [invalid(child(at(path, i), "mountPath"), mount.mountPath, "must not contain ':'")]
        : []),
      ...pathErrors(mount.subPath, child(at(path, i), "subPath")),
      ...pathErrors(mount.subPathExpr, child(at(path, i), "subPathExpr")),
      ...(mount.subPath && mount.subPathExpr
        ? [
            invalid(
              child(at(path, i), "subPathExpr"),
              mount.subPathExpr,
              "subPathExpr and subPath are mutually exclusive",
            ),
          ]
        : []),
      ...propagationErrors(mount, container, at(path, i)),
      ...recursiveErrors(mount, child(at(path, i), "recursiveReadOnly")),
    ]),
    ...duplicates(
      mounts.map((mount) => mount.mountPath),
      (i) => child(at(path, i), "mountPath"),
    ),
  ];
}

function propagationErrors(mount: VolumeMount, container: Container, path: string): readonly FieldError[] {
  const { mountPropagation: mode } = mount;
  const field = child(path, "mountPropagation");
  const modes = ["Bidirectional", "HostToContainer", "None"];
  if (mode !== undefined && !modes.includes(mode)) return [unsupported(field, mode, modes)];
  return mode === "Bidirectional" && container.securityContext?.privileged !== true
    ? [forbidden(field, "Bidirectional mount propagation is available only to privileged containers")]
    : [];
}

function recursiveErrors(mount: VolumeMount, path: string): readonly FieldError[] {
  const { recursiveReadOnly: mode, readOnly, mountPropagation = "None" } = mount;
  const modes = ["Disabled", "Enabled", "IfPossible"];
  if (mode === undefined || mode === "Disabled") return [];
  if (!modes.includes(mode)) return [unsupported(path, mode, modes)];
  return [
    ...(readOnly === true ? [] : [forbidden(path, "may only be specified when readOnly is true")]),
    ...(mountPropagation === "None"
      ? []
      : [forbidden(path, "may only be specified when mountPropagation is None or not specified")]),
  ];
}

function hostPathErrors({ hostPath }: Volume, path: string): readonly FieldError[] {
  if (hostPath === undefined) return [];
  const { type = "" } = hostPath;
  return [
    ...(hostPath.path ? [] : [required(child(path, "path"))]),
    ...(hostPath.path?.split("/").includes("..") === true
      ? [invalid(child(path, "path"), hostPath.path, "must not contain '..'")]
      : []),
    ...(hostPathTypes.includes(type) ? [] : [unsupported(child(path, "type"), type, hostPathTypes)]),
  ];
}

function emptyDirErrors({ emptyDir }: Volume, path: string): readonly FieldError[] {
  const { medium = "", sizeLimit } = emptyDir ?? {};
  const media = ["", "HugePages", "Memory"];
  return [
    ...(media.includes(medium) || /^HugePages-\d+[KMGT]i?$/.test(medium)
      ? []
      : [unsupported(child(path, "medium"), medium, [...media, "HugePages-<size>"])]),
    ...(sizeLimit !== undefined && (parseQuantity(sizeLimit)?.nanos ?? 0n) < 0n
      ? [forbidden(child(path, "sizeLimit"), "SizeLimit field must be a valid resource quantity")]
      : []),
  ];
}

function imageErrors({ image }: Volume, path: string): readonly FieldError[] {
  if (image === undefined) return [];
  const policies = ["Always", "IfNotPresent", "Never"];
  return [
    ...(image.reference ? [] : [required(child(path, "reference"))]),
    ...(image.pullPolicy === undefined || policies.includes(image.pullPolicy)
      ? []
      : [unsupported(child(path, "pullPolicy"), image.pullPolicy, policies)]),
  ];
}
