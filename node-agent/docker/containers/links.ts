// Links of old (--link): names by which one container knows another, and variables that tell of its ports. Pure.
import { badRequest } from "../http/problem.ts";
import type { ContainerRecord } from "./record.ts";

export interface Link {
  readonly container: string;
  readonly alias: string;
}

/** "db:store", or "db" for its own name. */
export function parseLink(text: string): Link {
  const [container = "", alias = container, ...rest] = text.replace(/^\//, "").split(":");
  if (container === "" || alias === "" || rest.length > 0)
    throw badRequest(`bad format for links: ${JSON.stringify(text)}: expected container:alias`);
  return { container, alias: alias.slice(alias.lastIndexOf("/") + 1) };
}

/** What Docker has told programs of their neighbours since before networks had names. */
export function linkVariables(own: string, { alias }: Link, { config, endpoints }: ContainerRecord): readonly string[] {
  const ip = Object.values(endpoints).find(({ live }) => live !== undefined)?.live?.ip;
  const prefix = alias.toUpperCase().replaceAll("-", "_");
  if (ip === undefined) return [];
  const ports = config.ExposedPorts.map((key) => key.split("/")).toSorted((a, b) => Number(a[0]) - Number(b[0]));
  const [first] = ports;
  const url = (port = "", protocol = "tcp") => `${protocol}://${ip}:${port}`;
  return [
    ...(first === undefined ? [] : [`${prefix}_PORT=${url(first[0], first[1])}`]),
    ...ports.flatMap(([port = "", protocol = "tcp"]) => {
      const name = `${prefix}_PORT_${port}_${protocol.toUpperCase()}`;
      return [
        ...[`${name}=${url(port, protocol)}`, `${name}_ADDR=${ip}`, `${name}_PORT=${port}`],
        `${name}_PROTO=${protocol}`,
      ];
    }),
    `${prefix}_NAME=/${own}/${alias}`,
  ];
}
