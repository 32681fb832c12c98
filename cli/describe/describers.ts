// Kinds that are described in words of their own, one line each; the others show their fields.
import type { KubeObject, Resource } from "../../api/kinds/resource.ts";
import { fieldsOf } from "./any.ts";
import { layOut, type Part } from "./layout.ts";
import { nodeDescriber } from "./node.ts";
import { podDescriber } from "./pod.ts";
import { secretDescriber } from "./secret.ts";
import { serviceDescriber } from "./service.ts";
import { daemonSetDescriber, deploymentDescriber, replicaSetDescriber } from "./workload.ts";

/** The cluster, as a description asks it for what belongs to an object. */
export interface Ask {
  readonly list: <T>(path: string, query: Readonly<Record<string, string>>) => Promise<readonly T[]>;
  readonly nowMs: number;
}

export interface Describer<T extends KubeObject> {
  readonly resource: Resource<T>;
  readonly describe: (object: T, ask: Ask) => Promise<readonly Part[]>;
}

const describers: readonly Describer<KubeObject>[] = [
  erase(podDescriber),
  erase(nodeDescriber),
  erase(serviceDescriber),
  erase(secretDescriber),
  erase(deploymentDescriber),
  erase(replicaSetDescriber),
  erase(daemonSetDescriber),
];

export async function describeObject(resource: Resource, object: KubeObject, ask: Ask): Promise<string> {
  const describer = describers.find((one) => one.resource.kind === resource.kind);
  return describer === undefined ? fieldsOf(object) : layOut(await describer.describe(object, ask));
}

/** It is only handed objects of its own resource. */
function erase<T extends KubeObject>(describer: Describer<T>): Describer<KubeObject> {
  return describer as unknown as Describer<KubeObject>;
}
