// naru compose images, port, top, config: what a project's services are made of, where they answer, what they use.
import { stringify } from "yaml";
import { events, nodes as nodeResource, pods, services } from "../../api/kinds/generated/resources.ts";
import type { Node as ClusterNode, Event, Pod, Service } from "../../api/kinds/generated/types.ts";
import { objectName } from "../../compose/draft.ts";
import { serviceLabel } from "../../compose/labels.ts";
import type { MapNode, Node } from "../../compose/nodes.ts";
import { amountsOf, type Used } from "../commands/top.ts";
import { pathOf } from "../resources.ts";
import { printTable } from "../terminal.ts";
import { followObjects } from "../watch.ts";
import { objectsOf, type ProjectPlace, selectorOf } from "./objects.ts";

export async function printImages(place: ProjectPlace): Promise<void> {
  const rows = (await objectsOf<Pod>(place, pods)).flatMap(({ metadata, spec, status }) =>
    (spec?.containers ?? []).map(({ name, image = "" }) => {
      const id = status?.containerStatuses?.find((one) => one.name === name)?.imageID ?? "";
      return [
        metadata?.name ?? "",
        metadata?.labels?.[serviceLabel] ?? "",
        image,
        id.split("sha256:").at(-1)?.slice(0, 12) ?? "",
      ];
    }),
  );
  console.log(printTable(["POD", "SERVICE", "IMAGE", "DIGEST"], rows));
}

/** Addresses of the nodes under which a container's port answers. */
export async function printPort(place: ProjectPlace, service: string, port: number): Promise<void> {
  const published = (await objectsOf<Service>(place, services)).filter(
    ({ spec }) => spec?.clusterIP !== "None" && spec?.selector?.[serviceLabel] === objectName(service),
  );
  const found = published.flatMap(({ spec, status }) =>
    (spec?.ports ?? [])
      .filter(({ targetPort }) => targetPort === port)
      .map((one) => ({
        number: spec?.type === "NodePort" ? one.nodePort : one.port,
        addresses: (status?.loadBalancer?.ingress ?? []).flatMap(({ ip }) => ip ?? []),
      })),
  );
  if (found.length === 0) throw new Error(`service ${service} publishes no port ${port}`);
  const { items } = await place.connection.send<{ items: readonly ClusterNode[] }>(
    "GET",
    pathOf(nodeResource, undefined),
  );
  const ofNodes = items.flatMap(({ status }) =>
    (status?.addresses ?? []).filter(({ type }) => type === "InternalIP").map(({ address }) => address),
  );
  for (const { number, addresses } of found)
    for (const address of addresses.length > 0 ? addresses : ofNodes)
      console.log(`${address.includes(":") ? `[${address}]` : address}:${number}`);
}

export async function printUsage(
  { connection, namespace, project, signal }: ProjectPlace,
  service?: string,
): Promise<void> {
  const path = `/apis/metrics.k8s.io/v1beta1/namespaces/${namespace}/pods?${selectorOf(project, service)}`;
  const { items } = await connection.send<{ items: readonly Used[] }>("GET", path, { signal });
  const rows = items.map((item) => [item.metadata?.name ?? "", ...amountsOf(item)]);
  console.log(printTable(["NAME", "CPU", "MEMORY"], rows));
}

/** What happens to the project, until the user has had enough. */
export async function printEvents({ connection, namespace, signal }: ProjectPlace): Promise<void> {
  const { metadata } = await connection.send<{ metadata?: { resourceVersion?: string } }>(
    "GET",
    pathOf(events, namespace),
    {
      signal,
    },
  );
  const query = { resourceVersion: metadata?.resourceVersion ?? "0" };
  for await (const { object } of followObjects<Event>(connection, pathOf(events, namespace), query, signal)) {
    const { involvedObject: about, reason = "", message = "" } = object;
    const time = object.lastTimestamp ?? object.eventTime ?? object.metadata?.creationTimestamp ?? "";
    console.log(`${time} ${about?.kind?.toLowerCase() ?? ""} ${about?.name ?? ""} ${reason}: ${message}`);
  }
}

/** The file as it was understood: parts put together, variables replaced. It is a Compose file again, for other programs, too. */
export function configText(file: MapNode): string {
  return stringify(plain(file), { aliasDuplicateObjects: false, compat: "yaml-1.1" }).trimEnd();
}

function plain(node: Node): unknown {
  if (node.type === "scalar") return typeof node.value === "string" ? node.value.replaceAll("$", "$$$$") : node.value;
  if (node.type === "list") return node.items.map(plain);
  return Object.fromEntries([...node.entries].map(([key, value]) => [key, plain(value)]));
}
