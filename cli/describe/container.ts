// A container as a pod or a workload's template declares it, and what became of it.
import type { Container, ContainerState, ContainerStatus, EnvVar, Probe } from "../../api/kinds/generated/types.ts";
import { momentText } from "./common.ts";
import { type Part, pairs, type Row } from "./layout.ts";

export function containerPart(
  container: Container,
  {
    role = "Container",
    status,
    nowMs,
  }: { readonly role?: string; readonly status?: ContainerStatus | undefined; readonly nowMs: number },
): Part {
  const { name, image = "", command, args, ports, resources, env, envFrom, volumeMounts } = container;
  return {
    type: "fields",
    title: `${role} ${name}`,
    rows: [
      ["Image", image],
      ...(status === undefined ? [] : statusRows(status, nowMs)),
      ["Command", wordsText(command)],
      ["Arguments", wordsText(args)],
      [
        "Ports",
        (ports ?? []).map(
          (port) =>
            `${port.containerPort}/${port.protocol ?? "TCP"}${port.name === undefined ? "" : ` (${port.name})`}${port.hostPort === undefined ? "" : `, on the node ${port.hostPort}`}`,
        ),
      ],
      ["Requests", pairs(textValues(resources?.requests)).join(", ")],
      ["Limits", pairs(textValues(resources?.limits)).join(", ")],
      ["Startup probe", probeText(container.startupProbe)],
      ["Readiness probe", probeText(container.readinessProbe)],
      ["Liveness probe", probeText(container.livenessProbe)],
      [
        "Environment",
        [
          ...(envFrom ?? []).map(({ configMapRef, secretRef, prefix = "" }) =>
            configMapRef === undefined
              ? `${prefix}* of Secret ${secretRef?.name}`
              : `${prefix}* of ConfigMap ${configMapRef.name}`,
          ),
          ...(env ?? []).map(variableText),
        ],
      ],
      [
        "Mounts",
        (volumeMounts ?? []).map(
          ({ mountPath, name, readOnly, subPath }) =>
            `${mountPath} from ${name}${subPath === undefined ? "" : `/${subPath}`}${readOnly === true ? ", read-only" : ""}`,
        ),
      ],
    ],
  };
}

function statusRows(
  { state, lastState, ready, restartCount, imageID }: ContainerStatus,
  nowMs: number,
): readonly Row[] {
  return [
    ["Image ID", imageID],
    ["State", stateText(state, nowMs)],
    ["Before", stateText(lastState, nowMs)],
    ["Ready", ready ? "yes" : "no"],
    ["Restarts", String(restartCount)],
  ];
}

/** "Waiting: ImagePullBackOff: …", "Running since …", "Ended: OOMKilled, exit code 137, …" */
export function stateText(state: ContainerState | undefined, nowMs: number): string {
  if (state?.waiting !== undefined)
    return ["Waiting", state.waiting.reason, state.waiting.message].filter(Boolean).join(": ");
  if (state?.running !== undefined) return `Running since ${momentText(state.running.startedAt, nowMs)}`;
  if (state?.terminated === undefined) return "";
  const { reason = "", exitCode, signal, message, startedAt, finishedAt } = state.terminated;
  const how =
    signal === undefined || signal === 0 ? `exit code ${exitCode}` : `exit code ${exitCode}, signal ${signal}`;
  const when = `from ${startedAt ?? "?"} to ${momentText(finishedAt, nowMs)}`;
  return `Ended: ${reason}, ${how}, ${when}${message === undefined || message === "" ? "" : `: ${message.trim()}`}`;
}

/** "GET http://:8080/healthz every 1s, timeout 1s, ready after 1, failed after 3" */
export function probeText(probe: Probe | undefined): string {
  if (probe === undefined) return "";
  const { httpGet, tcpSocket, exec, grpc, initialDelaySeconds: delay = 0 } = probe;
  const what =
    httpGet !== undefined
      ? `GET ${(httpGet.scheme ?? "HTTP").toLowerCase()}://${httpGet.host ?? ""}:${httpGet.port}${httpGet.path ?? "/"}`
      : tcpSocket !== undefined
        ? `connect to ${tcpSocket.host ?? ""}:${tcpSocket.port}`
        : exec !== undefined
          ? `run ${wordsText(exec.command)}`
          : `gRPC at :${grpc?.port}`;
  return `${what}${delay > 0 ? ` after ${delay}s` : ""} every ${probe.periodSeconds ?? 10}s, timeout ${probe.timeoutSeconds ?? 1}s, good after ${probe.successThreshold ?? 1}, failed after ${probe.failureThreshold ?? 3}`;
}

function variableText({ name, value = "", valueFrom }: EnvVar): string {
  const { configMapKeyRef, secretKeyRef, fieldRef, resourceFieldRef } = valueFrom ?? {};
  if (configMapKeyRef !== undefined) return `${name} from ${configMapKeyRef.key} of ConfigMap ${configMapKeyRef.name}`;
  if (secretKeyRef !== undefined) return `${name} from ${secretKeyRef.key} of Secret ${secretKeyRef.name}`;
  if (fieldRef !== undefined) return `${name} from the pod's ${fieldRef.fieldPath}`;
  if (resourceFieldRef !== undefined) return `${name} from the container's ${resourceFieldRef.resource}`;
  return `${name}=${value}`;
}

/** As one would type them in a shell. */
function wordsText(words: readonly string[] | undefined): string {
  return (words ?? []).map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : JSON.stringify(word))).join(" ");
}

function textValues(values: Readonly<Record<string, string | number>> | undefined): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(values ?? {}).map(([name, value]) => [name, String(value)]));
}
