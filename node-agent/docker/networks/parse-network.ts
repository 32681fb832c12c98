// The body of "create a network", read into a record. What Naru's bridges cannot do is refused by name. Pure.
import {
  contains,
  formatAddress,
  formatRange,
  nthAddress,
  parseAddress,
  parseRange,
  type Range,
} from "../../network/addresses.ts";
import type { JsonObject } from "../http/json.ts";
import { badRequest, conflict, DockerProblem, notFound } from "../http/problem.ts";
import { type NetworkRecord, predefined, type Subnet } from "./record.ts";
import { overlaps } from "./subnets.ts";

export interface NewNetwork {
  readonly id: string;
  readonly nowMs: number;
  /** Of the link, when none is asked for. */
  readonly link: string;
  readonly existing: readonly NetworkRecord[];
  /** The range to take when none is asked for. */
  readonly freeSubnet: () => Range;
}

const optionPrefix = "com.docker.network.";
const optionsKnown = [
  ...["bridge.name", "bridge.enable_icc", "bridge.enable_ip_masquerade", "bridge.host_binding_ipv4", "driver.mtu"],
  ...["bridge.default_bridge", "container_iface_prefix", "bridge.gateway_mode_ipv4", "bridge.gateway_mode_ipv6"],
];
export const mtuDefault = 1500;

export function parseNetwork(body: JsonObject, context: NewNetwork): NetworkRecord {
  const name = body.text("Name");
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(name)) throw badRequest(`invalid network name: ${JSON.stringify(name)}`);
  if (predefined.includes(name)) throw conflict(`operation is not permitted on predefined ${name} network`);
  if (context.existing.some((network) => network.name === name))
    throw conflict(`network with name ${name} already exists`);
  const driver = body.text("Driver") || "bridge";
  if (driver !== "bridge")
    throw notFound(`could not find plugin ${driver} in v1 plugin registry: Naru's networks of containers are bridges`);
  if (!body.flag("EnableIPv4", true)) throw badRequest("EnableIPv4: Naru's container networks always have IPv4");
  for (const flag of ["Ingress", "ConfigOnly"])
    if (body.flag(flag)) throw badRequest(`${flag} is not supported by Naru's container networks`);
  if (body.object("ConfigFrom").text("Network") !== "") throw badRequest("ConfigFrom is not supported by Naru");
  if (body.text("Scope") !== "" && body.text("Scope") !== "local")
    throw badRequest("Scope: Naru's container networks are local");
  const options = body.textMap("Options");
  checkOptions(options);
  const option = (key: string) => options[`${optionPrefix}${key}`] ?? "";
  const link = option("bridge.name") || context.link;
  if (!/^[a-zA-Z0-9_.-]{1,15}$/.test(link))
    throw badRequest(`bridge name ${JSON.stringify(link)}: 1 to 15 letters, digits and _.-`);
  return {
    id: context.id,
    name,
    driver: "bridge",
    createdAtMs: context.nowMs,
    internal: body.flag("Internal"),
    attachable: body.flag("Attachable"),
    ...parseAddresses(body.object("IPAM"), { ...context, hasIpv6: body.flag("EnableIPv6") }),
    masquerade: option("bridge.enable_ip_masquerade") !== "false",
    mtu: option("driver.mtu") === "" ? mtuDefault : parseMtu(option("driver.mtu")),
    bindingIp: option("bridge.host_binding_ipv4") || "0.0.0.0",
    link,
    options,
    labels: body.textMap("Labels"),
  };
}

function checkOptions(options: Readonly<Record<string, string>>): void {
  for (const [key, value] of Object.entries(options)) {
    const short = key.startsWith(optionPrefix) ? key.slice(optionPrefix.length) : "";
    if (!optionsKnown.includes(short)) throw badRequest(`network option ${key} is not supported by Naru`);
    if (short === "bridge.enable_icc" && value === "false")
      throw badRequest(`network option ${key}=false is not supported: containers of a bridge always reach each other`);
    if (short === "container_iface_prefix" && value !== "eth")
      throw badRequest(`network option ${key} is not supported: links are named eth`);
    if (short.startsWith("bridge.gateway_mode_ipv") && value !== "nat")
      throw badRequest(`network option ${key}=${value} is not supported, only nat`);
  }
}

function parseAddresses(
  ipam: JsonObject,
  context: NewNetwork & { readonly hasIpv6: boolean },
): Subnet & Pick<NetworkRecord, "ipv6"> {
  const driver = ipam.text("Driver");
  if (driver !== "" && driver !== "default") throw badRequest(`IPAM driver ${driver} is not there; there is default`);
  const [option] = Object.keys(ipam.textMap("Options"));
  if (option !== undefined) throw badRequest(`IPAM option ${option} is not supported by Naru`);
  const configs = ipam.objects("Config").filter((config) => config.keys().length > 0);
  const [config, second] = configs.filter((config) => !config.text("Subnet").includes(":"));
  const [config6, second6] = configs.filter((config) => config.text("Subnet").includes(":"));
  if (second !== undefined || second6 !== undefined)
    throw badRequest("IPAM: a network has one subnet of IPv4 and one of IPv6 here, got two of a kind");
  if (config6 !== undefined && !context.hasIpv6)
    throw badRequest(`subnet ${config6.text("Subnet")}: IPv6 has to be asked for, with --ipv6`);
  const none = { subnet: "", gateway: "", ipRange: "" };
  const ipv6 = context.hasIpv6 ? (config6 === undefined ? none : parseSubnet(config6, context)) : undefined;
  const own = ipv6 === none ? localSubnet(context.id) : ipv6;
  const ipv4 =
    config === undefined || config.text("Subnet") === ""
      ? firstGateway(context.freeSubnet())
      : parseSubnet(config, context);
  return { ...ipv4, ...(own === undefined ? {} : { ipv6: own }) };
}

/** A range of unique local addresses (RFC 4193) of the network's own. */
function localSubnet(id: string): Subnet {
  const [a, b, c, d] = [id.slice(0, 2), id.slice(2, 6), id.slice(6, 10), id.slice(10, 14)];
  return firstGateway(anyRange(`fd${a}:${b}:${c}:${d}::/64`, "subnet"));
}

function firstGateway(range: Range): Subnet {
  return { subnet: formatRange(range), gateway: formatAddress(nthAddress(range, 1)), ipRange: "" };
}

function parseSubnet(config: JsonObject, context: NewNetwork): Subnet {
  const subnet = anyRange(config.text("Subnet"), "subnet");
  if (subnet.prefix > (subnet.family === 4 ? 30 : 126))
    throw badRequest(`subnet ${config.text("Subnet")} has no room for a gateway and a container`);
  const used = context.existing.flatMap(({ name, subnet, ipv6 }) => [
    { name, text: subnet },
    { name, text: ipv6?.subnet ?? "" },
  ]);
  const other = used.find(({ text }) => {
    const range = parseRange(text);
    return range !== undefined && overlaps(range, subnet);
  });
  if (other !== undefined)
    throw new DockerProblem(
      403,
      `invalid pool request: Pool overlaps with other one on this address space: ${other.text} of ${other.name}`,
    );
  const gateway = config.text("Gateway") || formatAddress(nthAddress(subnet, 1));
  const address = parseAddress(gateway);
  if (address === undefined || !contains(subnet, address))
    throw badRequest(`no matching subnet for gateway ${gateway}`);
  const ipRange = config.text("IPRange");
  if (ipRange !== "") {
    const range = anyRange(ipRange, "ip-range");
    if (!overlaps(subnet, range) || range.prefix < subnet.prefix)
      throw badRequest(`ip-range ${ipRange} is not within ${formatRange(subnet)}`);
  }
  if (Object.keys(config.textMap("AuxiliaryAddresses")).length > 0)
    throw badRequest("IPAM: AuxiliaryAddresses are not supported");
  return { subnet: formatRange(subnet), gateway, ipRange };
}

function anyRange(text: string, what: string): Range {
  const range = parseRange(text);
  if (range === undefined)
    throw badRequest(`invalid ${what} ${JSON.stringify(text)}: expected such as 172.30.0.0/16 or fd00:30::/64`);
  return range;
}

function parseMtu(text: string): number {
  const mtu = Number(text);
  if (!Number.isInteger(mtu) || mtu < 68 || mtu > 65535)
    throw badRequest(`network option ${optionPrefix}driver.mtu: ${JSON.stringify(text)} is no MTU`);
  return mtu;
}
