// What Prometheus learns of Deployments.
import type { Deployment, DeploymentStatus } from "../kinds/generated/types.ts";
import { type Family, oneOf, type Sample } from "./family.ts";

const labelsOf = ({ metadata }: Deployment) => ({
  namespace: metadata?.namespace ?? "",
  deployment: metadata?.name ?? "",
});

function count(name: string, help: string, read: (deployment: Deployment) => number | undefined): Family<Deployment> {
  return { name, help, type: "gauge", samples: (deployment) => [[labelsOf(deployment), read(deployment) ?? 0]] };
}

const status = (field: keyof DeploymentStatus & `${string}eplicas`) => (deployment: Deployment) =>
  deployment.status?.[field];

export const deploymentFamilies: readonly Family<Deployment>[] = [
  count("kube_deployment_spec_replicas", "Pods that are wanted.", ({ spec }) => spec?.replicas),
  count("kube_deployment_spec_paused", "Whether updates wait.", ({ spec }) => (spec?.paused === true ? 1 : 0)),
  count("kube_deployment_status_replicas", "Pods that exist.", status("replicas")),
  count("kube_deployment_status_replicas_ready", "Pods that are Ready.", status("readyReplicas")),
  count(
    "kube_deployment_status_replicas_available",
    "Pods that have been Ready for long enough.",
    status("availableReplicas"),
  ),
  count(
    "kube_deployment_status_replicas_unavailable",
    "Pods that are missing or not available yet.",
    status("unavailableReplicas"),
  ),
  count("kube_deployment_status_replicas_updated", "Pods of the newest template.", status("updatedReplicas")),
  count("kube_deployment_metadata_generation", "Changes of what is wanted.", ({ metadata }) => metadata?.generation),
  count(
    "kube_deployment_status_observed_generation",
    "The newest change that was acted on.",
    ({ status }) => status?.observedGeneration,
  ),
  {
    name: "kube_deployment_status_condition",
    help: "The Deployment's conditions: 1 for the status that each has.",
    type: "gauge",
    samples: (deployment) =>
      (deployment.status?.conditions ?? []).flatMap(({ type, status: text }): readonly Sample[] =>
        oneOf({ ...labelsOf(deployment), condition: type }, "status", ["true", "false", "unknown"], text.toLowerCase()),
      ),
  },
];
