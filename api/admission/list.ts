// What every new object must pass, in order. An admission returns the object, changed or not, or refuses with ApiError.
import type { Kind } from "../kinds/kind.ts";
import type { KubeObject } from "../kinds/resource.ts";
import type { Context } from "../verbs/context.ts";
import { namespaceBasics } from "./namespace-basics.ts";
import { namespaceLives } from "./namespace-lives.ts";
import { priorityClass } from "./priority-class.ts";
import { runtimeClass } from "./runtime-class.ts";
import { serviceAccount } from "./service-account.ts";

export interface AdmissionRequest {
  readonly context: Pick<Context, "cache" | "random">;
  readonly kind: Kind;
  readonly namespace: string | undefined;
}

export type Admission = (request: AdmissionRequest, object: KubeObject) => KubeObject;

export const admissions: readonly Admission[] = [
  namespaceLives,
  namespaceBasics,
  priorityClass,
  runtimeClass,
  serviceAccount,
];
