// A pod that names a RuntimeClass gets what belongs to it: overhead, and where its nodes are. Source: Kubernetes' RuntimeClass admission.
import { isDeepStrictEqual } from "node:util";
import { runtimeclasses } from "../kinds/generated/resources.ts";
import type { Pod, RuntimeClass } from "../kinds/generated/types.ts";
import { ApiError } from "../kinds/status.ts";
import { details, qualified } from "../verbs/refusals.ts";
import type { Admission, AdmissionRequest } from "./list.ts";

export const runtimeClass: Admission = (request, object) => {
  const pod = object as Pod;
  const name = request.kind.resource.kind === "Pod" ? pod.spec?.runtimeClassName : undefined;
  if (name === undefined || name === "" || pod.spec === undefined) {
    if (request.kind.resource.kind === "Pod" && Object.keys(pod.spec?.overhead ?? {}).length > 0)
      throw refuse(request, pod, "Pod Overhead set without corresponding RuntimeClass defined Overhead");
    return object;
  }
  const found = request.context.cache.get(runtimeclasses, name)?.object;
  if (found === undefined) throw refuse(request, pod, `RuntimeClass ${JSON.stringify(name)} not found`);
  const admitted: Pod = { ...pod, spec: { ...pod.spec, ...additions(request, pod, found) } };
  return admitted;
};

function additions(request: AdmissionRequest, pod: Pod, { overhead, scheduling }: RuntimeClass): Partial<Pod["spec"]> {
  const own = pod.spec;
  const podFixed = overhead?.podFixed;
  if (own?.overhead !== undefined && !isDeepStrictEqual(own.overhead, podFixed))
    throw refuse(request, pod, "Pod's Overhead doesn't match RuntimeClass's defined Overhead");
  const selector = scheduling?.nodeSelector ?? {};
  const conflict = Object.keys(selector).find((key) => (own?.nodeSelector?.[key] ?? selector[key]) !== selector[key]);
  if (conflict !== undefined)
    throw refuse(
      request,
      pod,
      `conflict: runtimeClass.scheduling.nodeSelector and pod.spec.nodeSelector differ in ${conflict}`,
    );
  const tolerations = scheduling?.tolerations ?? [];
  return {
    ...(podFixed === undefined ? {} : { overhead: podFixed }),
    ...(Object.keys(selector).length === 0 ? {} : { nodeSelector: { ...own?.nodeSelector, ...selector } }),
    ...(tolerations.length === 0 ? {} : { tolerations: [...(own?.tolerations ?? []), ...tolerations] }),
  };
}

function refuse({ kind }: AdmissionRequest, pod: Pod, why: string): ApiError {
  const name = pod.metadata?.name ?? "";
  const message = `${qualified(kind.resource)} ${JSON.stringify(name)} is forbidden: pod rejected: ${why}`;
  return new ApiError("Forbidden", message, { details: details(kind.resource, name) });
}
