// A service's objects: what runs it, its name, and the ports that are published.
import { createHash } from "node:crypto";
import type { PodSpec, PodTemplateSpec, ServicePort } from "../api/kinds/generated/types.ts";
import type { KubeObject } from "../api/kinds/resource.ts";
import { startAfterAnnotation, startAfterGate } from "../api/kinds/start-order.ts";
import { objectName, type ProjectParts, type ServiceDraft } from "./draft.ts";
import { projectLabels, serviceLabels } from "./labels.ts";
import { workloadOf } from "./workload.ts";

/** In the order to apply them. */
export function serviceObjects(draft: ServiceDraft, project: ProjectParts): readonly KubeObject[] {
  const name = objectName(draft.name);
  const matchLabels = serviceLabels(project.name, draft.name);
  const workload = workloadOf(draft, podTemplate(draft, project), matchLabels);
  // By its name a service is reached at every port, as containers of one network are: so the name stands for the pods themselves.
  return [namedService(name, matchLabels), ...publishedServices(draft, name, matchLabels), workload];
}

export function namedService(name: string, selector: Readonly<Record<string, string>>): KubeObject {
  return { apiVersion: "v1", kind: "Service", metadata: { name }, spec: { clusterIP: "None", selector } } as KubeObject;
}

// Ports with a number on the nodes' own addresses, and those for which the cluster chooses one.
function publishedServices(
  draft: ServiceDraft,
  name: string,
  selector: Readonly<Record<string, string>>,
): readonly KubeObject[] {
  const service = (suffix: string, type: string, ports: readonly ServicePort[]): readonly KubeObject[] =>
    ports.length === 0
      ? []
      : [
          {
            apiVersion: "v1",
            kind: "Service",
            metadata: { name: `${name}-${suffix}` },
            spec: { type, selector, ports },
          } as KubeObject,
        ];
  const portsOf = (isChosen: boolean) =>
    draft.ports.flatMap(({ target, published, protocol }): readonly ServicePort[] => {
      if (published === undefined || (published === 0) !== isChosen) return [];
      const port = isChosen ? target : published;
      return [{ name: `${protocol.toLowerCase()}-${port}`, port, targetPort: target, protocol }];
    });
  return [...service("published", "LoadBalancer", portsOf(false)), ...service("chosen", "NodePort", portsOf(true))];
}

function podTemplate(draft: ServiceDraft, project: ProjectParts): PodTemplateSpec & { readonly spec: PodSpec } {
  const { container, security, mounts, pod, volumes, dependsOn } = draft;
  const gates = dependsOn.length === 0 ? {} : { schedulingGates: [{ name: startAfterGate }] };
  const containerPorts = [
    ...new Map(
      draft.ports.map(({ target, protocol }) => [`${target}/${protocol}`, { containerPort: target, protocol }]),
    ).values(),
  ];
  const env = [...new Map([...draft.fileEnv, ...draft.env]).values()];
  const annotations = {
    ...draft.annotations,
    ...(dependsOn.length === 0 ? {} : { [startAfterAnnotation]: JSON.stringify(dependsOn) }),
    ...filesHash(draft, project),
  };
  return {
    metadata: {
      labels: { ...projectLabels(project.name), ...serviceLabels(project.name, draft.name), ...draft.labels },
      ...(Object.keys(annotations).length === 0 ? {} : { annotations }),
    },
    spec: {
      ...pod,
      ...gates,
      containers: [
        {
          ...container,
          ...(env.length === 0 ? {} : { env }),
          ...(containerPorts.length === 0 ? {} : { ports: containerPorts }),
          ...(mounts.length === 0 ? {} : { volumeMounts: mounts }),
          ...(Object.keys(security).length === 0 ? {} : { securityContext: security }),
          ...resourcesOf(draft),
        },
      ],
      ...(volumes.length === 0 ? {} : { volumes }),
    },
  };
}

// A change of a config or secret starts new pods, as Compose makes new containers of it.
function filesHash(draft: ServiceDraft, { configs, secrets }: ProjectParts): Readonly<Record<string, string>> {
  const names = new Set(draft.volumes.flatMap(({ configMap, secret }) => configMap?.name ?? secret?.secretName ?? []));
  const used = [...configs.values(), ...secrets.values()].filter(({ objectName }) => names.has(objectName));
  if (used.length === 0) return {};
  const hash = createHash("sha256");
  for (const { objectName, content } of used) hash.update(JSON.stringify([objectName, content]));
  return { "naru.dev/files": hash.digest("hex").slice(0, 16) };
}

function resourcesOf({ limits, requests }: ServiceDraft): object {
  const given = Object.entries({ limits, requests }).filter(([, amounts]) => Object.keys(amounts).length > 0);
  return given.length === 0 ? {} : { resources: Object.fromEntries(given) };
}
