// What an update may change in a pod's spec: images, tolerations that are added, a deadline that shrinks, gates that open.
import type { PodSpec } from "./generated/types.ts";
import type { FieldError } from "./kind.ts";
import { forbidden, invalid } from "./schema/field-error.ts";
import { equal } from "./schema/patch-json.ts";
import { child } from "./schema/path.ts";

export function validatePodUpdate(spec: PodSpec, old: PodSpec, path: string): readonly FieldError[] {
  const [now, before] = [comparable(spec), comparable(old)];
  const changed = [...new Set([...Object.keys(now), ...Object.keys(before)])].filter(
    (name) => !equal(now[name as keyof PodSpec], before[name as keyof PodSpec]),
  );
  return [
    ...changed.map((name) =>
      forbidden(
        child(path, name),
        "pod updates may not change fields other than `spec.containers[*].image`, `spec.initContainers[*].image`, " +
          "`spec.activeDeadlineSeconds`, `spec.terminationGracePeriodSeconds` (1 when it was negative) and " +
          "`spec.tolerations` (only additions)",
      ),
    ),
    ...tolerationErrors(spec, old, child(path, "tolerations")),
    ...deadlineErrors(spec.activeDeadlineSeconds, old.activeDeadlineSeconds, child(path, "activeDeadlineSeconds")),
    ...((spec.schedulingGates ?? []).every((gate) => old.schedulingGates?.some((had) => had.name === gate.name))
      ? []
      : [forbidden(child(path, "schedulingGates"), "only deletion is allowed, but found new scheduling gates")]),
  ];
}

/** The spec without what may change. */
function comparable(spec: PodSpec): Partial<PodSpec> {
  const { activeDeadlineSeconds: _d, tolerations: _t, schedulingGates: _g, ...rest } = spec;
  const nameless = (containers: PodSpec["containers"]) => containers.map((c) => ({ ...c, image: "" }));
  return {
    ...rest,
    containers: nameless(spec.containers),
    ...(spec.initContainers === undefined ? {} : { initContainers: nameless(spec.initContainers) }),
    ...((spec.terminationGracePeriodSeconds ?? 0) < 0 ? { terminationGracePeriodSeconds: 1 } : {}),
  };
}

function tolerationErrors(spec: PodSpec, old: PodSpec, path: string): readonly FieldError[] {
  const now = spec.tolerations ?? [];
  const kept = (old.tolerations ?? []).every((had) =>
    now.some((has) => equal({ ...has, tolerationSeconds: 0 }, { ...had, tolerationSeconds: 0 })),
  );
  return kept ? [] : [forbidden(path, "existing toleration can not be modified except its tolerationSeconds")];
}

function deadlineErrors(now: number | undefined, before: number | undefined, path: string): readonly FieldError[] {
  if (before === undefined || (now !== undefined && now <= before)) return [];
  return [invalid(path, now ?? null, "must be less than or equal to previous value")];
}
