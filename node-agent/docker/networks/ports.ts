// Which ports of the node a container's ports get. The plan is pure; whether a port is free the kernel says.
import { createSocket } from "node:dgram";
import { createServer } from "node:net";
import type { ContainerRecord, PublishedPort } from "../containers/record.ts";
import { badRequest, DockerProblem } from "../http/problem.ts";
import type { NetworkRecord } from "./record.ts";

const ephemeral = { first: 49_153, last: 65_535 } as const;
const triesMax = 2000;

export interface WantedPort extends Omit<PublishedPort, "hostPort"> {
  /** From and to; undefined: any. */
  readonly hostPorts: readonly [number, number] | undefined;
}

export function planPorts(
  { config, hostConfig }: Pick<ContainerRecord, "config" | "hostConfig">,
  network: Pick<NetworkRecord, "bindingIp" | "ipv6">,
): readonly WantedPort[] {
  const { bindingIp, ipv6 } = network;
  const wanted: WantedPort[] = [];
  const add = (key: string, hostIp: string, hostPorts: WantedPort["hostPorts"]) => {
    const [port, protocol] = key.split("/");
    if (protocol !== "tcp" && protocol !== "udp" && protocol !== "sctp") throw badRequest(`invalid port: ${key}`);
    const where = hostIp === "" ? { hostIp: bindingIp, ...(ipv6 === undefined ? {} : { alsoIpv6: true }) } : { hostIp };
    wanted.push({ containerPort: Number(port), protocol, ...where, hostPorts });
  };
  for (const [key, bindings] of Object.entries(hostConfig.PortBindings)) {
    for (const { HostIp, HostPort } of bindings.length === 0 ? [{ HostIp: "", HostPort: "" }] : bindings) {
      if (HostIp.includes(":")) {
        // What listens everywhere listens on IPv4, too, and is asked for beside it.
        if (HostIp === "::" && bindings.some((other) => other.HostPort === HostPort && !other.HostIp.includes(":")))
          continue;
        if (HostIp === "::1")
          throw badRequest(
            "cannot publish on ::1: the kernel lets nothing of IPv6's loopback leave it; publish on 127.0.0.1 or on an address of the node",
          );
        if (ipv6 === undefined)
          throw badRequest(
            `cannot publish on ${HostIp}: the container's network has no IPv6; make one with 'docker network create --ipv6'`,
          );
      }
      const [first, last] = HostPort.split("-").map(Number);
      const none = first === undefined || first === 0 || Number.isNaN(first);
      add(key, HostIp, none ? undefined : [first, last ?? first]);
    }
  }
  if (hostConfig.PublishAllPorts) {
    for (const key of config.ExposedPorts) if (!Object.hasOwn(hostConfig.PortBindings, key)) add(key, "", undefined);
  }
  return wanted;
}

/** `taken` are those of other containers, which no program listens on. */
export async function choosePorts(
  wanted: readonly WantedPort[],
  taken: readonly PublishedPort[],
  start: number,
): Promise<readonly PublishedPort[]> {
  const chosen: PublishedPort[] = [];
  for (const { hostPorts, ...port } of wanted) {
    const isFree = (hostPort: number) => portIsFree({ ...port, hostPort }, [...taken, ...chosen]);
    const [first, last] = hostPorts ?? [ephemeral.first, ephemeral.last];
    const count = last - first + 1;
    const offset = hostPorts === undefined ? start % count : 0;
    let found: number | undefined;
    for (let i = 0; i < Math.min(count, triesMax) && found === undefined; i++) {
      const candidate = first + ((offset + i) % count);
      if (await isFree(candidate)) found = candidate;
    }
    if (found === undefined)
      throw new DockerProblem(
        500,
        `driver failed programming external connectivity on endpoint: Bind for ${port.hostIp}:${first}${count > 1 ? `-${last}` : ""} failed: port is already allocated`,
      );
    chosen.push({ ...port, hostPort: found });
  }
  return chosen;
}

async function portIsFree(port: PublishedPort, taken: readonly PublishedPort[]): Promise<boolean> {
  const isEverywhere = (ip: string) => ip === "0.0.0.0" || ip === "::";
  const overlaps = (a: string, b: string) =>
    a.includes(":") === b.includes(":") && (a === b || isEverywhere(a) || isEverywhere(b));
  const clash = taken.some(
    (other) =>
      other.hostPort === port.hostPort && other.protocol === port.protocol && overlaps(other.hostIp, port.hostIp),
  );
  if (clash) return false;
  if (port.protocol === "sctp") return true;
  return port.protocol === "tcp" ? tcpIsFree(port) : udpIsFree(port);
}

function tcpIsFree({ hostIp, hostPort }: PublishedPort): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EADDRINUSE") resolve(false);
      else reject(cannotBind(hostIp, error));
    });
    server.listen({ host: hostIp, port: hostPort, exclusive: true, ipv6Only: true }, () =>
      server.close(() => resolve(true)),
    );
  });
}

function udpIsFree({ hostIp, hostPort }: PublishedPort): Promise<boolean> {
  return new Promise((resolve, reject) => {
    // The kernel refuses sockets of IPv4 that are to be for IPv6 alone.
    const socket = createSocket(hostIp.includes(":") ? { type: "udp6", ipv6Only: true } : { type: "udp4" });
    socket.once("error", (error: NodeJS.ErrnoException) => {
      socket.close();
      if (error.code === "EADDRINUSE") resolve(false);
      else reject(cannotBind(hostIp, error));
    });
    socket.bind({ address: hostIp, port: hostPort, exclusive: true }, () => socket.close(() => resolve(true)));
  });
}

function cannotBind(hostIp: string, cause: Error): DockerProblem {
  return new DockerProblem(500, `cannot publish on ${hostIp}: ${cause.message}`, { cause });
}
