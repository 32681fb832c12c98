// naru compose run: one more container of a service, with a command of its own, joined until it ends.
import { pods } from "../../api/kinds/generated/resources.ts";
import type { EnvVar, Pod } from "../../api/kinds/generated/types.ts";
import type { KubeObject } from "../../api/kinds/resource.ts";
import { startAfterAnnotation } from "../../api/kinds/start-order.ts";
import { projectLabels, serviceLabel } from "../../compose/labels.ts";
import { nameSuffix, type Random } from "../../lib/random.ts";
import { UsageError } from "../command.ts";
import { followContainer } from "../follow-container.ts";
import { pathOf } from "../resources.ts";
import {
  applyObject,
  deleteObject,
  neededBy,
  type ProjectPlace,
  podTemplateOf,
  workloadResourceOf,
  workloadsOf,
} from "./objects.ts";

export interface OneOff {
  readonly service: string;
  /** Instead of the service's own, when it is not empty. */
  readonly command: readonly string[];
  readonly entrypoint: string | undefined;
  /** "NAME=VALUE", or "NAME" for this machine's. */
  readonly env: readonly string[];
  readonly terminal: boolean;
  /** What it needs is not started first. */
  readonly noDependencies: boolean;
  readonly detach: boolean;
}

/** The exit code of what was run. The pod goes when it has ended. */
export async function runOnce(
  place: ProjectPlace,
  objects: readonly KubeObject[],
  wanted: OneOff,
  random: Random,
): Promise<number> {
  const needed = wanted.noDependencies ? new Set<string>() : neededBy(objects, wanted.service);
  const workloads = new Set(workloadsOf(objects, new Set(objects.flatMap(serviceOf))));
  for (const object of objects) {
    if (!workloads.has(object) || needed.has(serviceOf(object)[0] ?? "")) await applyObject(place, object);
  }
  const name = `${wanted.service}-run-${nameSuffix(random)}`;
  const pod = oneOffPod(objects, wanted, { name, namespace: place.namespace, project: place.project });
  const path = pathOf(pods, place.namespace);
  const made = await place.connection.send<Pod>("POST", path, { body: pod, signal: place.signal });
  if (wanted.detach) {
    console.log(name);
    return 0;
  }
  const [container] = made.spec?.containers ?? [];
  try {
    if (container === undefined) return 0;
    return await followContainer(place.connection, { pod: made, container }, place.signal);
  } finally {
    // Also when the user has had enough.
    await deleteObject({ ...place, signal: new AbortController().signal }, pods, name);
  }
}

/** A pod as the service's own are, but that it ends, publishes nothing and answers to no name. Pure. */
export function oneOffPod(
  objects: readonly KubeObject[],
  { service, command, entrypoint, env, terminal, noDependencies }: OneOff,
  { name, namespace, project }: { readonly name: string; readonly namespace: string; readonly project: string },
): Pod {
  const workload = workloadsOf(objects, new Set([service]))[0];
  const { metadata, spec } = workload === undefined ? {} : podTemplateOf(workload);
  const [main, ...others] = spec?.containers ?? [];
  if (main === undefined) throw new UsageError(`service ${service} runs nothing`);
  const { readinessProbe: _r, livenessProbe: _l, startupProbe: _s, ports: _p, ...container } = main;
  const { schedulingGates, ...rest } = spec ?? { containers: [] };
  const { [startAfterAnnotation]: dependencies, ...annotations } = metadata?.annotations ?? {};
  const waits = noDependencies || dependencies === undefined ? {} : { [startAfterAnnotation]: dependencies };
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name,
      namespace,
      labels: { ...projectLabels(project), "naru.dev/run-of": service },
      annotations: { ...annotations, ...waits },
    },
    spec: {
      ...rest,
      ...(noDependencies || schedulingGates === undefined ? {} : { schedulingGates }),
      restartPolicy: "Never",
      containers: [
        {
          ...container,
          ...(entrypoint === undefined ? {} : { command: entrypoint.split(/\s+/).filter(Boolean) }),
          ...(command.length === 0 ? {} : { args: command }),
          env: [
            ...(container.env ?? []).filter((one) => !env.some((text) => nameOf(text) === one.name)),
            ...env.map(envOf),
          ],
          stdin: terminal,
          stdinOnce: terminal,
          tty: terminal,
        },
        ...others,
      ],
    },
  };
}

function serviceOf(object: KubeObject): readonly string[] {
  const name = workloadResourceOf(object) === undefined ? undefined : object.metadata?.labels?.[serviceLabel];
  return name === undefined ? [] : [name];
}

function envOf(text: string): EnvVar {
  const name = nameOf(text);
  return { name, value: text.includes("=") ? text.slice(name.length + 1) : (process.env[name] ?? "") };
}

function nameOf(text: string): string {
  return text.split("=")[0] ?? "";
}
