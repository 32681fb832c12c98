// The part of a pod that `kubectl patch --subresource resize` writes: CPU and memory of its containers, changed while they run.
// Source: Kubernetes documentation, "Resize CPU and Memory Resources assigned to Containers".
import { validateContainer } from "./container-validate.ts";
import type { Container, Pod, PodSpec, ResourceRequirements } from "./generated/types.ts";
import type { FieldError, Part } from "./kind.ts";
import { podDefaults } from "./pod-defaults.ts";
import { qosClassOf } from "./qos.ts";
import { forbidden, invalid } from "./schema/field-error.ts";
import { equal } from "./schema/patch-json.ts";
import { at, child } from "./schema/path.ts";

export const resizePart: Part<Pod> = {
  prepare: (wanted, live) => {
    if (live.spec === undefined || wanted.spec === undefined) return live;
    const { containers, initContainers } = live.spec;
    const spec = {
      ...live.spec,
      containers: containers.map((container) => resized(container, wanted.spec?.containers ?? [])),
      ...(initContainers === undefined
        ? {}
        : { initContainers: initContainers.map((each) => resized(each, wanted.spec?.initContainers ?? [])) }),
    };
    return { ...live, spec: podDefaults(spec) };
  },
  validate: (pod, live) => {
    const [now, before] = [pod.spec ?? { containers: [] }, live.spec ?? { containers: [] }];
    return [
      ...listErrors(now, before, "containers"),
      ...listErrors(now, before, "initContainers"),
      ...(qosClassOf(now) === qosClassOf(before)
        ? []
        : [invalid("spec", qosClassOf(now), "Pod QOS Class may not change as a result of resizing")]),
    ];
  },
};

function resized(container: Container, wanted: readonly Container[]): Container {
  const found = wanted.find(({ name }) => name === container.name);
  if (found === undefined) return container;
  const { resources: _r, resizePolicy: _p, ...rest } = container;
  return {
    ...rest,
    ...(found.resources === undefined ? {} : { resources: found.resources }),
    ...(found.resizePolicy === undefined ? {} : { resizePolicy: found.resizePolicy }),
  };
}

function listErrors(now: PodSpec, before: PodSpec, list: "containers" | "initContainers"): readonly FieldError[] {
  const volumeNames = new Set((now.volumes ?? []).map(({ name }) => name));
  return (now[list] ?? []).flatMap((container, i) => {
    const old = before[list]?.[i]?.resources ?? {};
    const path = child(at(`spec.${list}`, i), "resources");
    if (equal(container.resources ?? {}, old)) return [];
    if (list === "initContainers" && container.restartPolicy !== "Always")
      return [forbidden(path, "only sidecars among init containers can be resized")];
    return [
      ...validateContainer(container, at(`spec.${list}`, i), {
        volumeNames,
        ends: false,
        graceSeconds: now.terminationGracePeriodSeconds ?? 30,
      }).filter(({ field }) => field.startsWith(path)),
      ...changeErrors(container.resources ?? {}, old, path),
    ];
  });
}

function changeErrors(now: ResourceRequirements, before: ResourceRequirements, path: string): readonly FieldError[] {
  return (["limits", "requests"] as const).flatMap((kind) => {
    const [has, had] = [now[kind] ?? {}, before[kind] ?? {}];
    const names = [...new Set([...Object.keys(has), ...Object.keys(had)])];
    const removed = names.some((name) => has[name] === undefined);
    const others = names.some((name) => name !== "cpu" && name !== "memory" && has[name] !== had[name]);
    return [
      ...(removed ? [forbidden(child(path, kind), `resource ${kind} cannot be removed`)] : []),
      ...(others && !removed ? [forbidden(child(path, kind), "only cpu and memory resources are mutable")] : []),
    ];
  });
}
