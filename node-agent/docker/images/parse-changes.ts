// Instructions of `commit --change` and `import --change`: what they set of an image's config. Pure.
import type { ImageConfig } from "../../images/images.ts";
import { badRequest } from "../http/problem.ts";

/** Those of a list add up; ENV and LABEL replace what was there under their names only when the caller merges. */
export function parseChanges(lines: readonly string[]): Partial<ImageConfig> {
  let config: Partial<ImageConfig> = {};
  for (const line of lines.map((text) => text.trim()).filter((text) => text !== "")) {
    const [, word = "", rest = ""] = /^(\S+)\s+(.*)$/s.exec(line) ?? [];
    const read = instructions[word.toUpperCase()];
    if (read === undefined)
      throw badRequest(
        `${JSON.stringify(line)}: ${word.toUpperCase() || line} is not an instruction that changes can have; there are ${Object.keys(instructions).join(", ")}`,
      );
    config = { ...config, ...read(rest, config) };
  }
  return config;
}

const instructions: Readonly<Record<string, (text: string, before: Partial<ImageConfig>) => Partial<ImageConfig>>> = {
  CMD: (text) => ({ cmd: command(text) }),
  ENTRYPOINT: (text) => ({ entrypoint: command(text) }),
  ENV: (text, { env = [] }) => ({ env: [...env, ...pairs(text).map(([name, value]) => `${name}=${value}`)] }),
  LABEL: (text, { labels = {} }) => ({ labels: { ...labels, ...Object.fromEntries(pairs(text)) } }),
  EXPOSE: (text, { exposedPorts = [] }) => ({
    exposedPorts: [...exposedPorts, ...text.split(/\s+/).map((port) => (port.includes("/") ? port : `${port}/tcp`))],
  }),
  USER: (text) => ({ user: text }),
  WORKDIR: (text) => ({ workingDir: text }),
  VOLUME: (text, { volumes = [] }) => ({
    volumes: [...volumes, ...(text.startsWith("[") ? list(text) : text.split(/\s+/))],
  }),
  STOPSIGNAL: (text) => ({ stopSignal: text }),
};

function command(text: string): readonly string[] {
  return text.startsWith("[") ? list(text) : ["/bin/sh", "-c", text];
}

function list(text: string): readonly string[] {
  try {
    const parsed: unknown = JSON.parse(text);
    if (Array.isArray(parsed) && parsed.every((word) => typeof word === "string")) return parsed;
  } catch {
    // Told below.
  }
  throw badRequest(`${text}: expected a list of strings in JSON`);
}

/** name=value with quotes where there are spaces; or a name and the rest. */
function pairs(text: string): readonly (readonly [string, string])[] {
  if (!/^\S+=/.test(text)) {
    const [, name = "", value = ""] = /^(\S+)\s+(.*)$/s.exec(text) ?? [];
    if (name === "") throw badRequest(`${JSON.stringify(text)}: expected name=value`);
    return [[name, value]];
  }
  const found = [...text.matchAll(/([^\s=]+)=("(?:[^"\\]|\\.)*"|'[^']*'|\S*)/g)];
  return found.map(([, name = "", value = ""]) => [name, unquote(value)]);
}

function unquote(text: string): string {
  if (text.startsWith("'")) return text.slice(1, -1);
  return text.startsWith('"') ? text.slice(1, -1).replace(/\\(.)/g, "$1") : text;
}
