// The part of a pod that `kubectl debug` writes: containers that are added to a running pod, and never change or go before it does.
// Source: Kubernetes documentation, "Ephemeral Containers".
import { validateContainer } from "./container-validate.ts";
import type { EphemeralContainer, Pod, PodSpec } from "./generated/types.ts";
import type { FieldError, Part } from "./kind.ts";
import { duplicates } from "./metadata.ts";
import { podDefaults } from "./pod-defaults.ts";
import { forbidden } from "./schema/field-error.ts";
import { equal } from "./schema/patch-json.ts";
import { at, child } from "./schema/path.ts";

export const ephemeralContainersPart: Part<Pod> = {
  prepare: (wanted, live) => {
    if (live.spec === undefined) return live;
    const { ephemeralContainers: _, ...rest } = live.spec;
    const { ephemeralContainers } = wanted.spec ?? {};
    const spec = ephemeralContainers === undefined ? rest : { ...rest, ephemeralContainers };
    return { ...live, spec: podDefaults(spec) };
  },
  validate: (pod, live) => {
    const path = "spec.ephemeralContainers";
    return [
      ...validateEphemeralContainers(pod.spec ?? { containers: [] }, path),
      ...changeErrors(pod.spec?.ephemeralContainers ?? [], live.spec?.ephemeralContainers ?? [], path),
    ];
  },
};

/** What a process that only looks around has no use for: nothing restarts it, probes it or reserves room for it. */
const forbiddenFields = [
  "ports",
  "livenessProbe",
  "readinessProbe",
  "startupProbe",
  "lifecycle",
  "resizePolicy",
  "restartPolicy",
  "restartPolicyRules",
] as const;

function validateEphemeralContainers(spec: PodSpec, path: string): readonly FieldError[] {
  const { containers, initContainers = [], ephemeralContainers = [], volumes = [] } = spec;
  const others = [...containers, ...initContainers].map(({ name }) => name);
  const volumeNames = new Set(volumes.map(({ name }) => name));
  return [
    ...ephemeralContainers.flatMap((container, i) => [
      ...validateContainer(container, at(path, i), { volumeNames, graceSeconds: 0, ends: false }),
      ...fieldErrors(container, at(path, i)),
      ...targetErrors(container.targetContainerName, others, child(at(path, i), "targetContainerName")),
    ]),
    ...duplicates([...others, ...ephemeralContainers.map(({ name }) => name)], (i) =>
      child(at(path, i - others.length), "name"),
    ),
  ];
}

function fieldErrors(container: EphemeralContainer, path: string): readonly FieldError[] {
  const { limits = {}, requests = {} } = container.resources ?? {};
  const asks = Object.keys({ ...limits, ...requests }).length > 0;
  return [
    ...forbiddenFields.filter((field) => container[field] !== undefined).map((field) => child(path, field)),
    ...(asks ? [child(path, "resources")] : []),
    ...(container.volumeMounts ?? []).flatMap(({ subPath, subPathExpr }, i) => {
      const mount = at(child(path, "volumeMounts"), i);
      return [...(subPath ? [child(mount, "subPath")] : []), ...(subPathExpr ? [child(mount, "subPathExpr")] : [])];
    }),
  ].map((field) => forbidden(field, "cannot be set for an Ephemeral Container"));
}

function targetErrors(target: string | undefined, names: readonly string[], path: string): readonly FieldError[] {
  if (!target || names.includes(target)) return [];
  return [{ field: path, type: "invalid", message: `Not found: ${JSON.stringify(target)}` }];
}

function changeErrors(
  now: readonly EphemeralContainer[],
  before: readonly EphemeralContainer[],
  path: string,
): readonly FieldError[] {
  return before.flatMap((had) => {
    const index = now.findIndex(({ name }) => name === had.name);
    const has = now[index];
    if (has === undefined) {
      return [forbidden(path, `existing ephemeral containers ${JSON.stringify(had.name)} may not be removed`)];
    }
    if (equal(has, had)) return [];
    return [forbidden(at(path, index), `existing ephemeral containers ${JSON.stringify(had.name)} may not be changed`)];
  });
}
