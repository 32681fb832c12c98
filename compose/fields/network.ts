// Fields of a service about its names, its ports and its network.
import { objectName, type Port, type ServiceDraft } from "../draft.ts";
import type { Node } from "../nodes.ts";
import { type Fields, type Reader, without } from "../read.ts";

export const networkFields: Fields<ServiceDraft> = {
  ports: (draft, node, reader) => {
    for (const item of reader.list(node, "ports")) draft.ports.push(...portsOf(item, reader));
  },
  expose: (draft, node, reader) => {
    for (const item of reader.list(node, "expose")) {
      const [, from, to, protocol] =
        /^(\d+)(?:-(\d+))?(?:\/(tcp|udp|sctp))?$/i.exec(reader.text(item, "expose") ?? "") ?? [];
      if (from === undefined) reader.fail(item.place, "expose takes a port such as 8080 or 53/udp");
      else
        for (const target of range(from, to))
          draft.ports.push({ target, protocol: protocolOf(protocol), place: item.place });
    }
  },
  networks: (draft, node, reader) => {
    const names =
      node.type === "map"
        ? [...node.entries]
        : reader.texts(node, "networks").map((name) => [name, undefined] as const);
    for (const [name, options] of names) {
      if (options?.type !== "map") continue;
      for (const [key, value] of options.entries) {
        if (key === "aliases")
          for (const item of reader.list(value, `networks.${name}.aliases`))
            draft.aliases.push({
              name: reader.text(item, `networks.${name}.aliases`) ?? "",
              service: draft.name,
              place: item.place,
            });
        else if (!key.startsWith("x-"))
          reader.note(value.place, `networks.${name}.${key} is left out: the cluster gives addresses`);
      }
    }
  },
  network_mode: ({ pod }, node, reader) => {
    const mode = reader.text(node, "network_mode");
    if (mode === "host") pod.hostNetwork = true;
    else if (mode !== "bridge" && mode !== "default")
      reader.fail(node.place, `network_mode ${mode}: a service has the cluster's network, or the node's with host`);
  },
  hostname: ({ pod }, node, reader) => {
    pod.hostname = reader.text(node, "hostname") ?? "";
  },
  domainname: without("names end in the cluster's domain"),
  extra_hosts: ({ pod }, node, reader) => {
    const hosts = extraHosts(node, reader);
    pod.hostAliases = hosts.map(([name, ip]) => ({ ip, hostnames: [name] }));
  },
  dns: ({ pod }, node, reader) => {
    pod.dnsConfig = { ...pod.dnsConfig, nameservers: [...reader.texts(node, "dns")] };
  },
  dns_search: ({ pod }, node, reader) => {
    pod.dnsConfig = { ...pod.dnsConfig, searches: [...reader.texts(node, "dns_search")] };
  },
  dns_opt: ({ pod }, node, reader) => {
    const options = reader.texts(node, "dns_opt").map((option) => {
      const [name = "", value] = option.split(":");
      return value === undefined ? { name } : { name, value };
    });
    pod.dnsConfig = { ...pod.dnsConfig, options };
  },
  container_name: (draft, node, reader) => {
    const name = reader.text(node, "container_name");
    if (name === undefined || objectName(name) === objectName(draft.name)) return;
    reader.note(
      node.place,
      `container_name: pods are named after the service, ${draft.name}; ${name} is its further name`,
    );
    draft.aliases.push({ name, service: draft.name, place: node.place });
  },
  links: (draft, node, reader) => {
    for (const item of reader.list(node, "links")) {
      const [service = "", name = service] = (reader.text(item, "links") ?? "").split(":");
      if (!draft.project.services.has(service)) reader.fail(item.place, `links: there is no service ${service}`);
      else if (name !== service) draft.aliases.push({ name, service, place: item.place });
    }
  },
  external_links: without("name the other project's service as NAME.PROJECT"),
  mac_address: without("the cluster gives addresses"),
};

function portsOf(node: Node, reader: Reader): readonly Port[] {
  if (node.type !== "map") return shortPorts(node, reader);
  const port: { target?: number; published?: string; protocol?: string; hostIp?: string } = {};
  reader.fields<typeof port>(
    node,
    "ports",
    {
      target: (into, value) => {
        const target = reader.integer(value, "ports.target", 1);
        if (target !== undefined) into.target = target;
      },
      published: (into, value) => {
        into.published = reader.text(value, "ports.published") ?? "";
      },
      protocol: (into, value) => {
        into.protocol = reader.word(value, "ports.protocol", ["tcp", "udp", "sctp"] as const) ?? "tcp";
      },
      host_ip: without("a published port is open on every node's address"),
      mode: (_, value) => {
        if (reader.word(value, "ports.mode", ["ingress", "host"] as const) === "host")
          reader.note(value.place, "ports.mode host: the port is open on every node, not just where the service runs");
      },
      name: () => {},
      app_protocol: () => {},
    },
    port,
  );
  if (port.target === undefined) {
    if (!node.entries.has("target")) reader.fail(node.place, "ports: target, the container's port, is missing");
    return [];
  }
  const { target, protocol } = port;
  const published = port.published === undefined ? [] : [Number(/^\d+/.exec(port.published)?.[0] ?? Number.NaN)];
  return [
    { target, protocol: protocolOf(protocol), place: node.place, ...(published[0] ? { published: published[0] } : {}) },
  ];
}

// [HOST_IP:][PUBLISHED[-END]:]TARGET[-END][/PROTOCOL]
function shortPorts(node: Node, reader: Reader): readonly Port[] {
  const text = reader.text(node, "ports");
  if (text === undefined) return [];
  const [, ip, published, publishedEnd, from, to, protocol] =
    /^(?:(\[[0-9a-f:]+\]|\d+(?:\.\d+){3}):)?(?:(\d*)(?:-(\d+))?:)?(\d+)(?:-(\d+))?(?:\/(tcp|udp|sctp))?$/i.exec(text) ??
    [];
  if (from === undefined)
    return reader.fail(node.place, `ports takes PUBLISHED:TARGET such as "8080:80", got ${JSON.stringify(text)}`) ?? [];
  if (ip !== undefined && ip !== "0.0.0.0" && ip !== "[::]")
    reader.note(node.place, `ports: the address ${ip} is left out: a published port is open on every node's address`);
  const targets = range(from, to);
  if (published === undefined || published === "") {
    if (ip === undefined)
      reader.note(node.place, `ports: a free port of the nodes is chosen for ${from}; name one as "8080:${from}"`);
    return targets.map((target) => ({ target, published: 0, protocol: protocolOf(protocol), place: node.place }));
  }
  const outside = range(published, publishedEnd);
  if (outside.length !== targets.length)
    return (
      reader.fail(
        node.place,
        `ports: ${text} names ${outside.length} published ports for ${targets.length} of the container`,
      ) ?? []
    );
  return targets.map((target, at) => ({
    target,
    published: outside[at] ?? target,
    protocol: protocolOf(protocol),
    place: node.place,
  }));
}

function range(from: string, to: string | undefined): readonly number[] {
  const [first, last] = [Number(from), Number(to ?? from)];
  return Array.from({ length: Math.max(0, Math.min(last - first + 1, 1000)) }, (_, i) => first + i);
}

function protocolOf(name: string | undefined): Port["protocol"] {
  return { tcp: "TCP", udp: "UDP", sctp: "SCTP" }[name?.toLowerCase() ?? "tcp"] as Port["protocol"];
}

function extraHosts(node: Node, reader: Reader): readonly (readonly [name: string, ip: string])[] {
  const items = node.type === "list" ? node.items : [node];
  const entries =
    node.type === "map"
      ? reader.keyValues(node, "extra_hosts").map(([name, ip = "", place]) => ({ text: `${name}=${ip}`, place }))
      : items.flatMap((item) => reader.texts(item, "extra_hosts").map((text) => ({ text, place: item.place })));
  return entries.flatMap(({ text, place }) => {
    const [, name, address = ""] = /^([^:=]+)[:=](.+)$/.exec(text) ?? [];
    if (name !== undefined && address === "host-gateway") {
      reader.note(place, `extra_hosts: ${name} is left out: which node a pod runs on is not known before`);
      return [];
    }
    const ip = address.replace(/^\[(.*)\]$/, "$1");
    if (name !== undefined && /^[0-9a-fA-F.:]+$/.test(ip)) return [[name, ip] as const];
    return reader.fail(place, `extra_hosts takes NAME=ADDRESS, got ${JSON.stringify(text)}`) ?? [];
  });
}
