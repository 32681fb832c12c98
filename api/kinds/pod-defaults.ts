// What Kubernetes fills into a pod's spec; templates get the same, but for what only a pod itself has.
// Source: Kubernetes 1.36 API reference, "PodSpec", "Container", "Probe", "Volume".
import type {
  Container,
  EnvVar,
  HTTPGetAction,
  Lifecycle,
  LifecycleHandler,
  PodSpec,
  PodTemplateSpec,
  Probe,
  ProjectedVolumeSource,
  ResourceRequirements,
  Volume,
} from "./generated/types.ts";
import { qosClassOf } from "./qos.ts";
import { fill } from "./schema/fill.ts";

/** Of a pod template. */
export function templateDefaults(template: PodTemplateSpec): PodTemplateSpec {
  return template.spec === undefined ? template : { ...template, spec: podSpecDefaults(template.spec) };
}

const memoryPressure = "node.kubernetes.io/memory-pressure";

/** Of a pod: a template's, and what admission adds. Requests follow limits. */
export function podDefaults(spec: PodSpec): PodSpec {
  const filled = podSpecDefaults(spec);
  const tolerations = filled.tolerations ?? [];
  const account = filled.serviceAccountName ?? "default";
  return {
    enableServiceLinks: true,
    priority: 0,
    preemptionPolicy: "PreemptLowerPriority",
    ...filled,
    serviceAccountName: account,
    serviceAccount: account,
    // Who said what it needs may run where memory is short: "Taint nodes by condition".
    ...(qosClassOf(filled) === "BestEffort" || tolerations.some(({ key }) => key === memoryPressure)
      ? {}
      : { tolerations: [...tolerations, { key: memoryPressure, operator: "Exists", effect: "NoSchedule" }] }),
    containers: filled.containers.map((c) => podContainer(c, spec)),
    ...(filled.initContainers === undefined
      ? {}
      : { initContainers: filled.initContainers.map((c) => podContainer(c, spec)) }),
  };
}

function podSpecDefaults(spec: PodSpec): PodSpec {
  const { serviceAccountName, serviceAccount, nodeName, ...rest } = spec;
  const account = serviceAccountName || serviceAccount;
  return {
    ...fill(rest, {
      restartPolicy: "Always",
      dnsPolicy: "ClusterFirst",
      terminationGracePeriodSeconds: 30,
      schedulerName: "default-scheduler",
      securityContext: {},
    }),
    ...(account ? { serviceAccountName: account, serviceAccount: account } : {}),
    ...(nodeName ? { nodeName } : {}),
    containers: (spec.containers ?? []).map(containerDefaults),
    ...(spec.initContainers === undefined ? {} : { initContainers: spec.initContainers.map(containerDefaults) }),
    ...(spec.ephemeralContainers === undefined
      ? {}
      : { ephemeralContainers: spec.ephemeralContainers.map((c) => ({ ...c, ...containerDefaults(c) })) }),
    ...(spec.volumes === undefined ? {} : { volumes: spec.volumes.map(volumeDefaults) }),
  };
}

function podContainer(container: Container, spec: PodSpec): Container {
  const resources = requestsFromLimits(container.resources ?? {});
  if (spec.hostNetwork !== true || container.ports === undefined) return { ...container, resources };
  return {
    ...container,
    resources,
    ports: container.ports.map((p) => ({ ...p, hostPort: p.hostPort || p.containerPort })),
  };
}

function containerDefaults(container: Container): Container {
  return {
    ...fill(container, {
      terminationMessagePath: "/dev/termination-log",
      terminationMessagePolicy: "File",
      resources: {},
    }),
    imagePullPolicy: container.imagePullPolicy || pullPolicyOf(container.image ?? ""),
    ...(container.env === undefined ? {} : { env: container.env.map(envDefaults) }),
    ...(container.livenessProbe === undefined ? {} : { livenessProbe: probeDefaults(container.livenessProbe) }),
    ...(container.readinessProbe === undefined ? {} : { readinessProbe: probeDefaults(container.readinessProbe) }),
    ...(container.startupProbe === undefined ? {} : { startupProbe: probeDefaults(container.startupProbe) }),
    ...(container.lifecycle === undefined ? {} : { lifecycle: lifecycleDefaults(container.lifecycle) }),
  };
}

/** Always for the tag "latest", said or unsaid; a digest or another tag cannot change behind our back. */
export function pullPolicyOf(image: string): "Always" | "IfNotPresent" {
  if (image.includes("@")) return "IfNotPresent";
  const last = image.slice(image.lastIndexOf("/") + 1);
  const colon = last.lastIndexOf(":");
  return colon < 0 || last.slice(colon + 1) === "latest" ? "Always" : "IfNotPresent";
}

function envDefaults(env: EnvVar): EnvVar {
  const fieldRef = env.valueFrom?.fieldRef;
  if (fieldRef === undefined) return env;
  return { ...env, valueFrom: { ...env.valueFrom, fieldRef: { apiVersion: "v1", ...fieldRef } } };
}

function probeDefaults(probe: Probe): Probe {
  return {
    ...probe,
    timeoutSeconds: probe.timeoutSeconds || 1,
    periodSeconds: probe.periodSeconds || 10,
    successThreshold: probe.successThreshold || 1,
    failureThreshold: probe.failureThreshold || 3,
    ...(probe.httpGet === undefined ? {} : { httpGet: httpDefaults(probe.httpGet) }),
    ...(probe.grpc === undefined ? {} : { grpc: { service: "", ...probe.grpc } }),
  };
}

function httpDefaults(http: HTTPGetAction): HTTPGetAction {
  return { ...http, path: http.path || "/", scheme: http.scheme || "HTTP" };
}

function lifecycleDefaults(lifecycle: Lifecycle): Lifecycle {
  const handler = (h: LifecycleHandler): LifecycleHandler =>
    h.httpGet === undefined ? h : { ...h, httpGet: httpDefaults(h.httpGet) };
  return {
    ...lifecycle,
    ...(lifecycle.postStart === undefined ? {} : { postStart: handler(lifecycle.postStart) }),
    ...(lifecycle.preStop === undefined ? {} : { preStop: handler(lifecycle.preStop) }),
  };
}

function requestsFromLimits(resources: ResourceRequirements): ResourceRequirements {
  return resources.limits === undefined
    ? resources
    : { ...resources, requests: { ...resources.limits, ...resources.requests } };
}

const fileMode = 0o644;

function volumeDefaults(volume: Volume): Volume {
  if (Object.keys(volume).length === 1 && volume.name !== undefined) return { ...volume, emptyDir: {} };
  return {
    ...volume,
    ...(volume.secret === undefined ? {} : { secret: { defaultMode: fileMode, ...volume.secret } }),
    ...(volume.configMap === undefined ? {} : { configMap: { defaultMode: fileMode, ...volume.configMap } }),
    ...(volume.downwardAPI === undefined ? {} : { downwardAPI: { defaultMode: fileMode, ...volume.downwardAPI } }),
    ...(volume.projected === undefined ? {} : { projected: projectedDefaults(volume.projected) }),
    ...(volume.image === undefined
      ? {}
      : { image: { pullPolicy: pullPolicyOf(volume.image.reference ?? ""), ...volume.image } }),
    ...(volume.hostPath === undefined ? {} : { hostPath: { type: "", ...volume.hostPath } }),
  };
}

function projectedDefaults(projected: ProjectedVolumeSource): ProjectedVolumeSource {
  return {
    defaultMode: fileMode,
    ...projected,
    ...(projected.sources === undefined
      ? {}
      : {
          sources: projected.sources.map((source) =>
            source.serviceAccountToken === undefined
              ? source
              : { ...source, serviceAccountToken: { expirationSeconds: 3600, ...source.serviceAccountToken } },
          ),
        }),
  };
}
