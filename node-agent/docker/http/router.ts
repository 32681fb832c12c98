// Finds the endpoint for a method and a path. Pure.
import type { Handler, Route } from "./reply.ts";

export interface Match {
  readonly handler: Handler;
  readonly params: Readonly<Record<string, string>>;
}

export type Router = (method: string, path: string) => Match | "no such path" | "no such method";

interface Compiled {
  readonly method: string;
  readonly pattern: RegExp;
  readonly handler: Handler;
}

export function openRouter(routes: readonly Route[]): Router {
  const compiled = routes.map(compile);
  return (method, path) => {
    const fitting = compiled.filter(({ pattern }) => pattern.test(path));
    if (fitting.length === 0) return "no such path";
    const route = fitting.find((one) => one.method === method);
    if (route === undefined) return "no such method";
    const groups = route.pattern.exec(path)?.groups ?? {};
    return { handler: route.handler, params: decodeAll(groups) };
  };
}

/** Version and the path behind it: "/v1.41/info" is 41 and "/info". */
export function splitVersion(path: string): { readonly apiMinor: number | undefined; readonly path: string } {
  const [, minor, rest] = /^\/v1\.(\d{1,3})(\/.*)$/.exec(path) ?? [];
  return minor === undefined || rest === undefined
    ? { apiMinor: undefined, path }
    : { apiMinor: Number(minor), path: rest };
}

function compile([text, handler]: Route): Compiled {
  const [method = "", path = ""] = text.split(" ");
  // Names of images and plugins have slashes in them, and `docker inspect` asks for those among containers and networks, too.
  const pattern = path.replace(/\{(\w+)\}/g, "(?<$1>.+)");
  return { method, pattern: new RegExp(`^${pattern}$`), handler };
}

function decodeAll(groups: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(groups).map(([name, value]) => [name, decode(value)]));
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
