// What deleting an object means: gone at once, or marked and waiting for its finalizers or its node. Pure.
// Source: Kubernetes API conventions and documentation, "Finalizers", "Garbage collection", "Pod termination".

import { timestamp } from "../../lib/clock.ts";
import type { DeleteOptions, Namespace, Pod } from "../kinds/generated/types.ts";
import { hasEnded } from "../kinds/pod-phase.ts";
import type { KubeObject } from "../kinds/resource.ts";
import { ApiError } from "../kinds/status.ts";

const orphanFinalizer = "orphan";
const foregroundFinalizer = "foregroundDeletion";
const defaultGraceSeconds = 30;

export type Deletion =
  | { readonly type: "gone" }
  | { readonly type: "marked"; readonly object: KubeObject }
  /** Being deleted already, and this request changes nothing. */
  | { readonly type: "unchanged" };

/** Refuses with Invalid when the options contradict each other. */
export function planDeletion(live: KubeObject, options: DeleteOptions, nowMs: number): Deletion {
  const meta = live.metadata ?? {};
  const finalizers = finalizersAfter(meta.finalizers ?? [], policyOf(options));
  const before = meta.deletionTimestamp === undefined ? undefined : (meta.deletionGracePeriodSeconds ?? 0);
  const grace = Math.min(graceSeconds(live, options), before ?? Number.POSITIVE_INFINITY);
  if (grace === 0 && finalizers.length === 0 && ownFinalizers(live).length === 0) return { type: "gone" };
  if (before === grace && sameNames(finalizers, meta.finalizers ?? [])) return { type: "unchanged" };
  const { finalizers: _, resourceVersion: _v, ...rest } = meta;
  const object: KubeObject = {
    ...live,
    metadata: {
      ...rest,
      ...(finalizers.length === 0 ? {} : { finalizers }),
      ...(meta.generation === undefined || before !== undefined ? {} : { generation: meta.generation + 1 }),
      deletionTimestamp: before === grace ? (meta.deletionTimestamp ?? "") : timestamp(nowMs + grace * 1000),
      deletionGracePeriodSeconds: grace,
    },
  };
  return { type: "marked", object: terminating(object) };
}

/** A marked object that nothing holds any more. */
export function isFinished(object: KubeObject): boolean {
  const { deletionTimestamp, deletionGracePeriodSeconds = 0, finalizers = [] } = object.metadata ?? {};
  return (
    deletionTimestamp !== undefined &&
    deletionGracePeriodSeconds === 0 &&
    finalizers.length === 0 &&
    ownFinalizers(object).length === 0
  );
}

type Policy = "Background" | "Foreground" | "Orphan" | undefined;

function policyOf({ propagationPolicy, orphanDependents }: DeleteOptions): Policy {
  if (propagationPolicy === undefined) {
    if (orphanDependents === undefined) return undefined;
    return orphanDependents ? "Orphan" : "Background";
  }
  if (orphanDependents !== undefined) {
    throw new ApiError(
      "Invalid",
      "propagationPolicy: Invalid value: orphanDependents and propagationPolicy cannot be both set",
    );
  }
  if (propagationPolicy === "Background" || propagationPolicy === "Foreground" || propagationPolicy === "Orphan") {
    return propagationPolicy;
  }
  throw new ApiError(
    "Invalid",
    `propagationPolicy: Invalid value: ${JSON.stringify(propagationPolicy)}: must be one of Background, Foreground, Orphan`,
  );
}

function finalizersAfter(finalizers: readonly string[], policy: Policy): readonly string[] {
  if (policy === undefined) return finalizers;
  const others = finalizers.filter((name) => name !== orphanFinalizer && name !== foregroundFinalizer);
  switch (policy) {
    case "Background":
      return others;
    case "Foreground":
      return [...others, foregroundFinalizer];
    case "Orphan":
      return [...others, orphanFinalizer];
  }
}

/** Only a pod that its node may be running needs time. */
function graceSeconds(live: KubeObject, { gracePeriodSeconds }: DeleteOptions): number {
  if (live.kind !== "Pod") return 0;
  const pod: Pod = live;
  if ((pod.spec?.nodeName ?? "") === "" || hasEnded(pod)) return 0;
  const wanted = gracePeriodSeconds ?? pod.spec?.terminationGracePeriodSeconds ?? defaultGraceSeconds;
  return wanted < 0 ? 1 : wanted;
}

/** Namespaces hold finalizers in their spec too. */
function ownFinalizers(object: KubeObject): readonly string[] {
  return object.kind === "Namespace" ? ((object as Namespace).spec?.finalizers ?? []) : [];
}

function terminating(object: KubeObject): KubeObject {
  if (object.kind !== "Namespace") return object;
  return { ...object, status: { ...(object as Namespace).status, phase: "Terminating" } } as Namespace;
}

function sameNames(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((name, i) => name === b[i]);
}
