// Networks of containers.

import { timeText } from "../containers/status-text.ts";
import type { Door } from "../door.ts";
import { badRequest, messageOf } from "../http/problem.ts";
import { anyOf, labelsAbsent, labelsFit, parseTime } from "../http/query.ts";
import { empty, json, type Route, readJson } from "../http/reply.ts";
import { type NetworkRecord, predefined } from "../networks/record.ts";

const listFilters = ["dangling", "driver", "id", "label", "name", "scope", "type"];

export function networkRoutes(door: Door): readonly Route[] {
  const { parts, containers } = door;
  const { networks, events } = parts;
  const find = (params: Readonly<Record<string, string>>) => networks.find(params["id"] ?? "");
  return [
    [
      "GET /networks",
      async ({ query }) => {
        const filters = query.filters(listFilters);
        const fitting = networks
          .list()
          .filter(
            (network) =>
              labelsFit(filters, network.labels) &&
              anyOf(filters, "driver", (value) => network.driver === value) &&
              anyOf(filters, "id", (value) => network.id.startsWith(value)) &&
              anyOf(filters, "name", (value) => network.name.includes(value)) &&
              anyOf(filters, "scope", (value) => value === "local") &&
              anyOf(filters, "type", (value) => (value === "builtin") === predefined.includes(network.name)) &&
              anyOf(filters, "dangling", (value) => ["1", "true"].includes(value) === isDangling(door, network)),
          );
        return json(fitting.map((network) => show(door, network, false)));
      },
    ],
    ["GET /networks/{id}", async ({ params }) => json(show(door, find(params), true))],
    [
      "POST /networks/create",
      async (call) => {
        const network = networks.create(await readJson(call));
        events.emit("network", "create", network.id, { name: network.name, type: network.driver });
        return json({ Id: network.id, Warning: "" }, 201);
      },
    ],
    [
      "POST /networks/{id}/connect",
      async (call) => {
        const network = find(call.params);
        const body = await readJson(call);
        const { id } = containers.find(body.text("Container"));
        await containers.connect(id, network.id, body.optionalObject("EndpointConfig"));
        return empty(200);
      },
    ],
    [
      "POST /networks/{id}/disconnect",
      async (call) => {
        const network = find(call.params);
        const body = await readJson(call);
        await containers.disconnect(containers.find(body.text("Container")).id, network.id);
        return empty(200);
      },
    ],
    [
      "DELETE /networks/{id}",
      async ({ params }) => {
        await remove(door, find(params));
        return empty();
      },
    ],
    [
      "POST /networks/prune",
      async ({ query }) => {
        const filters = query.filters(["until", "label", "label!"]);
        const before = parseTime(filters.get("until")?.[0] ?? "", parts.clock.now()) ?? Number.POSITIVE_INFINITY;
        const deleted: string[] = [];
        for (const network of networks.list()) {
          if (!isDangling(door, network) || network.createdAtMs >= before) continue;
          if (!labelsFit(filters, network.labels) || !labelsAbsent(filters, network.labels)) continue;
          await remove(door, network).then(
            () => deleted.push(network.name),
            (error) => parts.log.warn({ network: network.name, error: messageOf(error) }, "a network is not pruned"),
          );
        }
        return json({ NetworksDeleted: deleted.length === 0 ? null : deleted });
      },
    ],
  ];
}

async function remove({ parts }: Door, network: NetworkRecord): Promise<void> {
  await parts.networks.remove(network);
  parts.events.emit("network", "destroy", network.id, { name: network.name, type: network.driver });
}

function isDangling({ parts }: Door, network: NetworkRecord): boolean {
  return !predefined.includes(network.name) && parts.networks.usersOf(network).length === 0;
}

function show({ parts }: Door, network: NetworkRecord, withContainers: boolean): unknown {
  if (network === undefined) throw badRequest("no network");
  const subnets = [network, ...(network.ipv6 === undefined ? [] : [network.ipv6])].filter(
    ({ subnet }) => subnet !== "",
  );
  const Config = subnets.map(({ subnet, ipRange, gateway }) => ({
    Subnet: subnet,
    ...(ipRange === "" ? {} : { IPRange: ipRange }),
    Gateway: gateway,
  }));
  const users = parts.networks
    .usersOf(network)
    .filter(
      ({ endpoint, record }) =>
        endpoint.live !== undefined || (network.driver === "host" && record.phase === "running"),
    );
  const shown = users.map(({ record, endpoint: { live } }) => [
    record.id,
    {
      Name: record.name,
      EndpointID: live?.endpointId ?? "",
      MacAddress: live?.mac ?? "",
      IPv4Address: live === undefined ? "" : `${live.ip}/${live.prefix}`,
      IPv6Address: live?.ipv6 === undefined ? "" : `${live.ipv6.ip}/${live.ipv6.prefix}`,
    },
  ]);
  return {
    Name: network.name,
    Id: network.id,
    Created: timeText(network.createdAtMs),
    Scope: "local",
    Driver: network.driver,
    EnableIPv4: true,
    EnableIPv6: network.ipv6 !== undefined,
    IPAM: { Driver: "default", Options: null, Config },
    Internal: network.internal,
    Attachable: network.attachable,
    Ingress: false,
    ConfigFrom: { Network: "" },
    ConfigOnly: false,
    Containers: withContainers ? Object.fromEntries(shown) : {},
    Options: network.options,
    Labels: network.labels,
  };
}
