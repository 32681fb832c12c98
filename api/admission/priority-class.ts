// A pod gets the number of the priority class that it names, or of the one for pods that name none; there is one of these at most.
// Source: Kubernetes, "Pod Priority and Preemption".
import { priorityclasses } from "../kinds/generated/resources.ts";
import type { Pod, PriorityClass } from "../kinds/generated/types.ts";
import { ApiError } from "../kinds/status.ts";
import { details, qualified } from "../verbs/refusals.ts";
import type { Admission, AdmissionRequest } from "./list.ts";

export const priorityClass: Admission = (request, object) => {
  const { kind } = request.kind.resource;
  if (kind === "Pod") return admitPod(request, object as Pod);
  if (kind === "PriorityClass") checkOnlyDefault(request, object as PriorityClass);
  return object;
};

function admitPod(request: AdmissionRequest, pod: Pod): Pod {
  const { spec } = pod;
  if (spec === undefined) return pod;
  const name = spec.priorityClassName ?? "";
  const found = name === "" ? defaultClass(request.context) : request.context.cache.get(priorityclasses, name)?.object;
  if (name !== "" && found === undefined)
    throw refuse(request, pod.metadata?.name, `no PriorityClass with name ${name} was found`);
  const { metadata, value: priority = 0, preemptionPolicy } = found ?? {};
  // Zero is what the defaults put there.
  if ((spec.priority ?? 0) !== 0 && spec.priority !== priority)
    throw refuse(
      request,
      pod.metadata?.name,
      `the integer value of priority (${spec.priority}) must not be provided in pod spec; priority admission controller computed ${priority} from the given PriorityClass name`,
    );
  if (found === undefined) return pod;
  const priorityClassName = metadata?.name ?? "";
  return {
    ...pod,
    spec: { ...spec, priorityClassName, priority, ...(preemptionPolicy === undefined ? {} : { preemptionPolicy }) },
  };
}

/** Two servers may have made one each at the same moment: the lower counts. */
function defaultClass({ cache }: AdmissionRequest["context"]): PriorityClass | undefined {
  return cache
    .list(priorityclasses)
    .items.map(({ object }) => object)
    .filter(({ globalDefault }) => globalDefault === true)
    .toSorted((a, b) => (a.value ?? 0) - (b.value ?? 0))[0];
}

function checkOnlyDefault(request: AdmissionRequest, { metadata, globalDefault }: PriorityClass): void {
  const before = globalDefault === true ? defaultClass(request.context)?.metadata?.name : undefined;
  if (before !== undefined && before !== metadata?.name)
    throw refuse(
      request,
      metadata?.name,
      `PriorityClass ${before} is already marked as default. Only one default can exist`,
    );
}

function refuse({ kind }: AdmissionRequest, name = "", why: string): ApiError {
  const message = `${qualified(kind.resource)} ${JSON.stringify(name)} is forbidden: ${why}`;
  return new ApiError("Forbidden", message, { details: details(kind.resource, name) });
}
