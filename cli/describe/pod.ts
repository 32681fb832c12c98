// A pod: what it does or why it does not, its containers one by one, its volumes.
import { pods } from "../../api/kinds/generated/resources.ts";
import type { Container, Pod, Toleration, Volume } from "../../api/kinds/generated/types.ts";
import { summarize } from "../../api/kinds/pod-columns.ts";
import { qosClassOf } from "../../api/kinds/qos.ts";
import { conditionsPart, metadataRows } from "./common.ts";
import { containerPart } from "./container.ts";
import type { Describer } from "./describers.ts";
import { type Part, pairs } from "./layout.ts";

export const podDescriber: Describer<Pod> = {
  resource: pods,
  describe: async (pod, { nowMs }) => podParts(pod, nowMs),
};

export function podParts(pod: Pod, nowMs: number): readonly Part[] {
  const { spec, status = {} } = pod;
  if (spec === undefined) return [{ type: "fields", rows: metadataRows(pod, nowMs) }];
  const { status: word, ready, total, restarts } = summarize(pod);
  const part = (role: string) => (container: Container) =>
    containerPart(container, {
      role,
      status: statuses.find(({ name }) => name === container.name),
      nowMs,
    });
  const statuses = [
    ...(status.initContainerStatuses ?? []),
    ...(status.containerStatuses ?? []),
    ...(status.ephemeralContainerStatuses ?? []),
  ];
  return [
    {
      type: "fields",
      rows: [
        ...metadataRows(pod, nowMs),
        ["Status", `${word}, ${ready} of ${total} containers ready, ${restarts} restarts`],
        ["Because", status.message ?? ""],
        ["Node", spec.nodeName ?? "none yet"],
        ["Addresses", (status.podIPs ?? []).map(({ ip }) => ip)],
        ["Quality of service", status.qosClass ?? qosClassOf(spec)],
        ["Priority", spec.priority === undefined || spec.priority === 0 ? "" : `${spec.priority}`],
        ["Service account", spec.serviceAccountName ?? ""],
        ["Runtime class", spec.runtimeClassName ?? ""],
        ["Node selector", pairs(spec.nodeSelector)],
        ["Tolerations", (spec.tolerations ?? []).map(tolerationText)],
      ],
    },
    ...(spec.initContainers ?? []).map(part("Init container")),
    ...spec.containers.map(part("Container")),
    ...((spec.ephemeralContainers ?? []) as readonly Container[]).map(part("Debug container")),
    volumesPart(spec.volumes),
    conditionsPart(status.conditions),
  ];
}

export function volumesPart(volumes: readonly Volume[] | undefined): Part {
  return {
    type: "table",
    title: "Volumes",
    header: ["NAME", "TYPE", "SOURCE"],
    rows: (volumes ?? []).map(({ name, ...sources }) => {
      const [type = "", source] = Object.entries(sources).find(([, value]) => value !== undefined) ?? [];
      return [name, type, sourceText(source)];
    }),
  };
}

// The name, path or claim that it is about; a projected volume's parts.
function sourceText(source: unknown): string {
  const { name, secretName, path, claimName, sources } = (source ?? {}) as Readonly<Record<string, unknown>>;
  if (Array.isArray(sources)) return sources.map((one: object) => Object.keys(one).join()).join(", ");
  return String(name ?? secretName ?? path ?? claimName ?? "");
}

function tolerationText({ key = "every taint", operator, value, effect, tolerationSeconds }: Toleration): string {
  const is = operator === "Exists" || value === undefined || value === "" ? key : `${key}=${value}`;
  return `${is}${effect === undefined ? "" : `:${effect}`}${tolerationSeconds === undefined ? "" : ` for ${tolerationSeconds}s`}`;
}
