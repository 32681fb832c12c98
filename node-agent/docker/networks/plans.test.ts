// What is planned for networks: ranges, rules, ports, and what a client may ask for.
import assert from "node:assert/strict";
import { test } from "node:test";
import { formatRange, parseRange, type Range } from "../../network/addresses.ts";
import { JsonObject } from "../http/json.ts";
import { parseNetwork } from "./parse-network.ts";
import { choosePorts, planPorts } from "./ports.ts";
import type { NetworkRecord } from "./record.ts";
import { rulesText } from "./rules.ts";
import { freeSubnet, overlaps, parseRoutes } from "./subnets.ts";

const range = (text: string): Range => {
  const parsed = parseRange(text);
  assert.ok(parsed !== undefined);
  return parsed;
};
const context = {
  id: "1".repeat(64),
  nowMs: 5,
  link: "nd0",
  existing: [] as NetworkRecord[],
  freeSubnet: () => range("172.20.0.0/16"),
};
const parse = (body: object, existing: readonly NetworkRecord[] = []) =>
  parseNetwork(new JsonObject({ Name: "n1", ...body }), { ...context, existing });

test("freeSubnet gives the first range that nobody uses", () => {
  const used = ["172.17.0.0/16", "172.18.5.0/24", "10.0.0.0/8"].map(range);
  assert.deepEqual(
    [formatRange(freeSubnet([])), formatRange(freeSubnet(used)), formatRange(freeSubnet([range("172.16.0.0/12")]))],
    ["172.17.0.0/16", "172.19.0.0/16", "192.168.0.0/20"],
  );
  assert.throws(() => freeSubnet([range("0.0.0.0/0")]), /name one with --subnet/);
  assert.deepEqual(
    [overlaps(range("10.0.0.0/8"), range("10.5.0.0/16")), overlaps(range("10.0.0.0/16"), range("10.1.0.0/16"))],
    [true, false],
  );
});

test("parseRoutes reads the kernel's little-endian numbers", () => {
  const text =
    "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\nveth\t00000000\t01E0A8C0\t3\t0\t0\t0\t00000000\t0\neth\t000011AC\t0\t1\t0\t0\t0\t0000FFFF\t0\n";
  assert.deepEqual(
    parseRoutes(text).map(({ link, range: found }) => [link, formatRange(found)]),
    [
      ["veth", "0.0.0.0/0"],
      ["eth", "172.17.0.0/16"],
    ],
  );
});

test("parseNetwork fills in what is left open", () => {
  const { subnet, gateway, masquerade, mtu, bindingIp, internal } = parse({});
  assert.deepEqual(
    { subnet, gateway, masquerade, mtu, bindingIp, internal },
    {
      subnet: "172.20.0.0/16",
      gateway: "172.20.0.1",
      masquerade: true,
      mtu: 1500,
      bindingIp: "0.0.0.0",
      internal: false,
    },
  );
  const own = parse({
    Internal: true,
    IPAM: { Config: [{ Subnet: "10.9.0.7/24", Gateway: "10.9.0.99", IPRange: "10.9.0.128/25" }] },
    Options: { "com.docker.network.driver.mtu": "1400" },
  });
  assert.deepEqual(
    [own.subnet, own.gateway, own.ipRange, own.mtu, own.internal],
    ["10.9.0.0/24", "10.9.0.99", "10.9.0.128/25", 1400, true],
  );
});

test("parseNetwork gives IPv6 to those that ask for it", () => {
  const given = parse({ EnableIPv6: true, IPAM: { Config: [{ Subnet: "fd00:7::/64", IPRange: "fd00:7::8000/113" }] } });
  assert.deepEqual(
    [parse({}).ipv6, parse({ EnableIPv6: true }).ipv6, given.ipv6, given.subnet],
    [
      undefined,
      { subnet: "fd11:1111:1111:1111::/64", gateway: "fd11:1111:1111:1111::1", ipRange: "" },
      { subnet: "fd00:7::/64", gateway: "fd00:7::1", ipRange: "fd00:7::8000/113" },
      "172.20.0.0/16",
    ],
  );
});

test("parseNetwork refuses by name what cannot be had", () => {
  const refusal = (body: object) => {
    try {
      parse(body, [parse({ Name: "taken" })]);
      return "no refusal";
    } catch (error) {
      return (error as Error).message;
    }
  };
  const config = (change: object) => ({ IPAM: { Config: [{ Subnet: "10.9.0.0/24", ...change }] } });
  assert.deepEqual(
    [
      { Name: "taken" },
      { Name: "host" },
      { Name: "-" },
      { Driver: "macvlan" },
      { EnableIPv4: false },
      config({ Subnet: "fd00::/64" }),
      { EnableIPv6: true, ...config({ Subnet: "fd00::/127" }) },
      config({ Subnet: "10.9.0.0/31" }),
      config({ Gateway: "10.8.0.1" }),
      config({ Subnet: "172.20.3.0/24" }),
      { Options: { "com.docker.network.bridge.enable_icc": "false" } },
      { Options: { colour: "red" } },
    ].map(refusal),
    [
      "network with name taken already exists",
      "operation is not permitted on predefined host network",
      'invalid network name: "-"',
      "could not find plugin macvlan in v1 plugin registry: Naru's networks of containers are bridges",
      "EnableIPv4: Naru's container networks always have IPv4",
      "subnet fd00::/64: IPv6 has to be asked for, with --ipv6",
      "subnet fd00::/127 has no room for a gateway and a container",
      "subnet 10.9.0.0/31 has no room for a gateway and a container",
      "no matching subnet for gateway 10.8.0.1",
      "invalid pool request: Pool overlaps with other one on this address space: 172.20.0.0/16 of taken",
      "network option com.docker.network.bridge.enable_icc=false is not supported: containers of a bridge always reach each other",
      "network option colour is not supported by Naru",
    ],
  );
});

test("choosePorts asks the kernel which ports are free, of UDP and on IPv6 too", async () => {
  const port = (protocol: "tcp" | "udp", hostIp: string) => ({ containerPort: 53, protocol, hostIp });
  const any = { hostPorts: undefined } as const;
  const chosen = await choosePorts(
    [
      { ...port("udp", "0.0.0.0"), ...any },
      { ...port("udp", "127.0.0.1"), ...any },
      { ...port("udp", "::"), ...any },
      { ...port("tcp", "::"), ...any },
    ],
    [],
    7,
  );
  assert.deepEqual(
    chosen.map(({ hostPort, ...rest }) => [rest, hostPort >= 49_153 && hostPort <= 65_535]),
    [
      [port("udp", "0.0.0.0"), true],
      [port("udp", "127.0.0.1"), true],
      [port("udp", "::"), true],
      [port("tcp", "::"), true],
    ],
  );
  const [first] = chosen;
  assert.notEqual(first?.hostPort, chosen[1]?.hostPort);
});

test("planPorts reads bindings, ranges and --publish-all", () => {
  const plan = (
    PortBindings: Readonly<Record<string, readonly { HostIp: string; HostPort: string }[]>>,
    PublishAllPorts = false,
    network: Parameters<typeof planPorts>[1] = { bindingIp: "0.0.0.0" },
  ) =>
    planPorts(
      {
        config: { ExposedPorts: ["80/tcp", "53/udp"] },
        hostConfig: { PortBindings, PublishAllPorts },
      } as unknown as Parameters<typeof planPorts>[0],
      network,
    ).map(
      ({ containerPort, protocol, hostIp, hostPorts, alsoIpv6 }) =>
        `${hostIp}:${hostPorts?.join("-") ?? "any"} ${containerPort}/${protocol}${alsoIpv6 ? " and IPv6" : ""}`,
    );
  const bind = (HostPort: string, HostIp = "") => ({ HostIp, HostPort });
  assert.deepEqual(plan({ "80/tcp": [bind("8080"), bind("9000-9010", "127.0.0.1")], "81/tcp": [] }), [
    "0.0.0.0:8080-8080 80/tcp",
    "127.0.0.1:9000-9010 80/tcp",
    "0.0.0.0:any 81/tcp",
  ]);
  assert.deepEqual(plan({ "80/tcp": [bind("8080", "0.0.0.0"), bind("8080", "::")] }, true), [
    "0.0.0.0:8080-8080 80/tcp",
    "0.0.0.0:any 53/udp",
  ]);
  assert.throws(() => plan({ "80/tcp": [bind("8080", "fd00::5")] }), /network has no IPv6/);
  const both = { bindingIp: "0.0.0.0", ipv6: { subnet: "fd00::/64", gateway: "fd00::1", ipRange: "" } };
  assert.deepEqual(plan({ "80/tcp": [bind("8080"), bind("81", "fd00::5"), bind("82", "0.0.0.0")] }, false, both), [
    "0.0.0.0:8080-8080 80/tcp and IPv6",
    "fd00::5:81-81 80/tcp",
    "0.0.0.0:82-82 80/tcp",
  ]);
  assert.throws(() => plan({ "80/tcp": [bind("8080", "::1")] }, false, both), /nothing of IPv6's loopback/);
});

test("rulesText publishes ports, lets networks out and walls them off", () => {
  const open = parse({});
  const closed = { ...parse({ Internal: true, IPAM: { Config: [{ Subnet: "10.9.0.0/24" }] } }), link: "nd1" };
  const port = { containerPort: 80, protocol: "tcp" as const, hostIp: "0.0.0.0", hostPort: 8080 };
  const text = rulesText(
    "nd",
    [open, closed],
    [{ ip: "172.20.0.2", ports: [port, { ...port, hostIp: "127.0.0.1", hostPort: 81 }] }],
  );
  const lines = text.split("\n");
  assert.deepEqual(
    lines.filter((line) => /elements|masquerade|drop|status dnat accept/.test(line)),
    [
      "elements = { tcp . 8080 : 172.20.0.2 . 80 }",
      "elements = { 127.0.0.1 . tcp . 81 : 172.20.0.2 . 80 }",
      'ip saddr 172.20.0.0/16 oifname != "nd0" masquerade',
      'oifname "nd0" ip saddr 172.20.0.0/16 ct status dnat masquerade',
      'oifname "nd0" ip saddr 127.0.0.0/8 masquerade',
      'oifname "nd1" ip saddr 10.9.0.0/24 ct status dnat masquerade',
      'oifname "nd1" ip saddr 127.0.0.0/8 masquerade',
      'iifname "nd0" ip daddr 127.0.0.0/8 drop',
      'iifname "nd1" ip daddr 127.0.0.0/8 drop',
      'oifname "nd0" ct status dnat accept',
      'oifname "nd0" drop',
      'iifname "nd1" oifname != "nd1" drop',
      'oifname "nd1" iifname != "nd1" drop',
      'oifname "nd1" ct status dnat accept',
      'oifname "nd1" drop',
    ],
  );
  assert.deepEqual(lines.slice(0, 3), ["add table ip nd", "delete table ip nd", "table ip nd {"]);
});

test("rulesText has IPv6's rules for networks that have it", () => {
  const both = parse({ EnableIPv6: true });
  const port = { containerPort: 80, protocol: "tcp" as const, hostIp: "0.0.0.0", hostPort: 8080 };
  const text = rulesText(
    "nd",
    [both],
    [
      {
        ip: "172.20.0.2",
        ipv6: "fd11::2",
        ports: [
          { ...port, alsoIpv6: true },
          { ...port, hostIp: "fd00::5", hostPort: 81 },
        ],
      },
    ],
  );
  assert.deepEqual(
    text
      .slice(text.indexOf("add table ip6"))
      .split("\n")
      .filter((line) => /table|elements|masquerade|loopback/.test(line)),
    [
      "add table ip6 nd",
      "delete table ip6 nd",
      "table ip6 nd {",
      "elements = { tcp . 8080 : fd11::2 . 80 }",
      "elements = { fd00::5 . tcp . 81 : fd11::2 . 80 }",
      'ip6 saddr fd11:1111:1111:1111::/64 oifname != "nd0" masquerade',
      'oifname "nd0" ip6 saddr fd11:1111:1111:1111::/64 ct status dnat masquerade',
    ],
  );
});
