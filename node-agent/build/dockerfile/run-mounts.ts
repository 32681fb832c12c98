// RUN --mount: "type=cache,target=/root/.npm,sharing=locked". Pure.
import type { RunMount } from "./instructions.ts";
import { type Flag, refuse, type Source } from "./reader.ts";

const keysOf: Readonly<Record<RunMount["type"], readonly string[]>> = {
  bind: ["target", "source", "from", "readonly"],
  cache: ["target", "source", "from", "readonly", "id", "sharing", "mode", "uid", "gid"],
  tmpfs: ["target", "size"],
  secret: ["target", "id", "env", "required", "mode", "uid", "gid"],
};
const aliases: Readonly<Record<string, string>> = {
  dst: "target",
  destination: "target",
  src: "source",
  ro: "readonly",
};

export function readMount(source: Source, flag: Flag): RunMount {
  const fail = (message: string) => refuse(source, `--mount: ${message}`, flag.offset);
  const options = new Map<string, string>();
  for (const part of splitCommas(flag.value ?? "")) {
    const equals = part.indexOf("=");
    const written = (equals < 0 ? part : part.slice(0, equals)).trim().toLowerCase();
    const value = equals < 0 ? "true" : part.slice(equals + 1);
    if (written === "rw" || written === "readwrite") options.set("readonly", value === "true" ? "false" : "true");
    else options.set(aliases[written] ?? written, value);
  }
  const type = options.get("type") ?? "bind";
  options.delete("type");
  if (type === "ssh") return fail("type=ssh is not done by Naru: pass a key as a secret");
  if (!isMountType(type)) return fail(`type ${JSON.stringify(type)} is none of bind, cache, tmpfs, secret`);
  for (const key of options.keys())
    if (!keysOf[type].includes(key))
      fail(`type=${type} does not know ${JSON.stringify(key)}; it takes ${keysOf[type].join(", ")}`);
  const truth = (key: string, otherwise: boolean) => {
    const value = options.get(key) ?? String(otherwise);
    if (value !== "true" && value !== "false" && value !== "1" && value !== "0") fail(`${key} takes true or false`);
    return value === "true" || value === "1";
  };
  const number = (key: string, base: 8 | 10, otherwise: number) => {
    const value = options.get(key);
    if (value === undefined) return otherwise;
    if (!(base === 8 ? /^[0-7]{1,5}$/ : /^\d{1,9}$/).test(value))
      fail(`${key} takes a number, got ${JSON.stringify(value)}`);
    return Number.parseInt(value, base);
  };
  const target = options.get("target");
  if (target === undefined && type !== "secret") return fail(`type=${type} needs a target`);
  const owner = () => ({ uid: number("uid", 10, 0), gid: number("gid", 10, 0) });
  const from = options.get("from");
  const path = options.get("source") ?? "/";
  switch (type) {
    case "bind":
      return { type, target, readonly: truth("readonly", true), from, source: path };
    case "cache": {
      const sharing = options.get("sharing") ?? "shared";
      if (sharing !== "shared" && sharing !== "private" && sharing !== "locked")
        return fail(`sharing takes shared, private or locked, got ${JSON.stringify(sharing)}`);
      const id = options.get("id");
      return {
        type,
        target,
        readonly: truth("readonly", false),
        id,
        from,
        source: path,
        sharing,
        mode: number("mode", 8, 0o755),
        ...owner(),
      };
    }
    case "tmpfs":
      return { type, target, readonly: false, sizeBytes: readSize(options.get("size"), fail) };
    case "secret": {
      const id = options.get("id");
      const env = options.get("env");
      if (id === undefined && target === undefined && env === undefined) return fail("type=secret needs an id");
      return {
        type,
        target,
        readonly: true,
        id,
        env,
        required: truth("required", false),
        mode: number("mode", 8, 0o400),
        ...owner(),
      };
    }
  }
}

function isMountType(text: string): text is RunMount["type"] {
  return text in keysOf;
}

function readSize(text: string | undefined, fail: (message: string) => never): number | undefined {
  if (text === undefined) return undefined;
  const [, digits, unit = ""] = /^(\d+)([kmg]?)b?$/i.exec(text) ?? [];
  if (digits === undefined) return fail(`size takes bytes, as 64m, got ${JSON.stringify(text)}`);
  return Number(digits) * 1024 ** ["", "k", "m", "g"].indexOf(unit.toLowerCase());
}

// As a line of CSV: a part may stand in double quotes.
function splitCommas(text: string): readonly string[] {
  return [...text.matchAll(/(?:^|,)(?:"([^"]*)"|([^,]*))/g)]
    .map(([, quoted, plain]) => quoted ?? plain ?? "")
    .filter((part) => part !== "");
}
