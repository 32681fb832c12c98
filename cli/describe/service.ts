// A Service: its addresses, and which pods stand behind each port.
import { endpointslices, services } from "../../api/kinds/generated/resources.ts";
import type { EndpointSlice, Service } from "../../api/kinds/generated/types.ts";
import { pathOf } from "../resources.ts";
import { metadataRows } from "./common.ts";
import type { Describer } from "./describers.ts";
import { type Part, pairs } from "./layout.ts";

export const serviceDescriber: Describer<Service> = {
  resource: services,
  describe: async (service, { list, nowMs }) => {
    const { name, namespace } = service.metadata ?? {};
    const labelSelector = `kubernetes.io/service-name=${name}`;
    return serviceParts(
      service,
      await list<EndpointSlice>(pathOf(endpointslices, namespace), { labelSelector }),
      nowMs,
    );
  },
};

export function serviceParts(service: Service, slices: readonly EndpointSlice[], nowMs: number): readonly Part[] {
  const { spec = {}, status } = service;
  const { name, namespace } = service.metadata ?? {};
  return [
    {
      type: "fields",
      rows: [
        ...metadataRows(service, nowMs),
        ["Type", spec.type ?? ""],
        ["Selector", pairs(spec.selector)],
        ["Name in the cluster", spec.type === "ExternalName" ? (spec.externalName ?? "") : `${name}.${namespace}.svc`],
        ["Addresses", spec.clusterIPs ?? []],
        [
          "External addresses",
          [
            ...(spec.externalIPs ?? []),
            ...(status?.loadBalancer?.ingress ?? []).map(({ ip, hostname }) => ip ?? hostname ?? ""),
          ],
        ],
        ["Session affinity", spec.sessionAffinity === "None" ? "" : (spec.sessionAffinity ?? "")],
        [
          "Traffic policy",
          [
            spec.internalTrafficPolicy === "Local" ? "Local inside" : "",
            spec.externalTrafficPolicy === "Local" ? "Local from outside" : "",
          ],
        ],
      ],
    },
    {
      type: "table",
      title: "Ports",
      header: ["NAME", "PORT", "ON NODES", "OF PODS"],
      rows: (spec.ports ?? []).map(({ name = "", port, protocol = "TCP", targetPort, nodePort }) => [
        name,
        `${port}/${protocol}`,
        nodePort === undefined ? "" : String(nodePort),
        String(targetPort ?? port),
      ]),
    },
    {
      type: "table",
      title: "Endpoints",
      header: ["ADDRESS", "PORTS", "READY", "POD", "NODE"],
      rows: slices.flatMap(({ endpoints, ports }) =>
        (endpoints ?? []).map(({ addresses, conditions, targetRef, nodeName = "" }) => [
          addresses.join(","),
          (ports ?? []).map(({ port }) => String(port ?? "")).join(","),
          conditions?.ready === false ? "no" : "yes",
          targetRef?.name ?? "",
          nodeName,
        ]),
      ),
    },
  ];
}
