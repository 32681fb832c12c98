// naru compose ps: the project's pods by service.
import { pods, services } from "../../api/kinds/generated/resources.ts";
import type { Pod, Service } from "../../api/kinds/generated/types.ts";
import { summarize } from "../../api/kinds/pod-columns.ts";
import { serviceLabel } from "../../compose/labels.ts";
import { printTable } from "../terminal.ts";
import { objectsOf, type ProjectPlace } from "./objects.ts";

export async function printProject(place: ProjectPlace, service?: string): Promise<void> {
  const [found, published] = await Promise.all([
    objectsOf<Pod>(place, pods, service),
    objectsOf<Service>(place, services),
  ]);
  const rows = found.map((pod) => {
    const name = pod.metadata?.labels?.[serviceLabel] ?? "";
    return [pod.metadata?.name ?? "", name, summarize(pod).status, pod.spec?.nodeName ?? "", portsOf(name, published)];
  });
  if (rows.length === 0) console.error(`project ${place.project} has no pods in namespace ${place.namespace}`);
  else
    console.log(
      printTable(
        ["NAME", "SERVICE", "STATUS", "NODE", "PORTS"],
        rows.sort((a, b) => compare(a[1], b[1])),
      ),
    );
}

function portsOf(service: string, published: readonly Service[]): string {
  const ports = published
    .filter(({ spec }) => spec?.clusterIP !== "None" && spec?.selector?.[serviceLabel] === service)
    .flatMap(({ spec }) =>
      (spec?.ports ?? []).map((port) => ({ ...port, outside: spec?.type === "NodePort" ? port.nodePort : port.port })),
    );
  return ports
    .map(({ outside, targetPort, protocol }) => `${outside}->${targetPort}/${protocol?.toLowerCase()}`)
    .join(", ");
}

function compare(a = "", b = ""): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
