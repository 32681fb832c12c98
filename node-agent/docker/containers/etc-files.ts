// The files that a container gets in /etc: hosts, hostname, resolv.conf. Pure.
import { badRequest } from "../http/problem.ts";

export interface EtcInput {
  readonly hostname: string;
  readonly domainname: string;
  /** Its addresses, the first network's first. */
  readonly ips: readonly string[];
  /** "name:address" or "name=address"; host-gateway stands for the node. */
  readonly extraHosts: readonly string[];
  readonly hostGateway: string;
}

export function hostsFile(input: EtcInput): string {
  const own = input.domainname === "" ? input.hostname : `${input.hostname}.${input.domainname} ${input.hostname}`;
  const lines = [
    "127.0.0.1\tlocalhost",
    "::1\tlocalhost ip6-localhost ip6-loopback",
    "fe00::\tip6-localnet",
    "ff00::\tip6-mcastprefix",
    "ff02::1\tip6-allnodes",
    "ff02::2\tip6-allrouters",
    ...input.extraHosts.map((entry) => extraHost(entry, input.hostGateway)),
    ...input.ips.map((ip) => `${ip}\t${own}`),
  ];
  return `${lines.join("\n")}\n`;
}

function extraHost(entry: string, gateway: string): string {
  const [, name = "", address = ""] = /^([^:=]+)[:=](.+)$/.exec(entry) ?? [];
  if (name === "" || /\s/.test(entry)) throw badRequest(`bad format for add-host: ${JSON.stringify(entry)}`);
  return `${address === "host-gateway" ? gateway : address.replace(/^\[|\]$/g, "")}\t${name}`;
}

export interface ResolvInput {
  readonly servers: readonly string[];
  readonly search: readonly string[];
  readonly options: readonly string[];
}

export function resolvFile({ servers, search, options }: ResolvInput): string {
  const wanted = search.filter((domain) => domain !== ".");
  return [
    ...servers.map((server) => `nameserver ${server}`),
    ...(wanted.length === 0 ? [] : [`search ${wanted.join(" ")}`]),
    ...(options.length === 0 ? [] : [`options ${options.join(" ")}`]),
    "",
  ].join("\n");
}

/** What of the node's own resolv.conf a container can use: a server on the node's loopback is not the container's. */
export function parseResolv(text: string): ResolvInput {
  const words = text
    .split("\n")
    .map((line) =>
      line
        .replace(/[#;].*$/, "")
        .trim()
        .split(/\s+/),
    )
    .filter(([first]) => first !== "");
  const of = (keyword: string) => words.filter(([first]) => first === keyword);
  return {
    servers: of("nameserver").flatMap(([, address = ""]) => (/^(?:127\.|::1$|$)/.test(address) ? [] : [address])),
    search: of("search").at(-1)?.slice(1) ?? of("domain").at(-1)?.slice(1) ?? [],
    options: of("options").flatMap(([, ...rest]) => rest),
  };
}
