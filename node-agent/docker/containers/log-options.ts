// `--log-opt`: how much of a container's log is kept. Pure.
import type { LogLimits } from "../../runtime/runtime.ts";
import { badRequest } from "../http/problem.ts";
import type { HostConfig } from "./record.ts";

const bytesDefault = 10 * 1024 * 1024;
const filesDefault = 3;
/** As many as are read. */
const filesMost = 10;
const units = { "": 1, b: 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3, t: 1024 ** 4 } as const;

/** Throws for values that mean nothing. */
export function logLimitsOf({ LogConfig }: Pick<HostConfig, "LogConfig">): LogLimits {
  const { "max-size": size, "max-file": files } = LogConfig.Config;
  return {
    logFileBytesMax: size === undefined ? bytesDefault : sizeOf(size),
    logFilesMax: files === undefined ? filesDefault : Math.min(filesMost, countOf(files)),
  };
}

function sizeOf(text: string): number {
  const [, number = "", unit = ""] = /^(\d+(?:\.\d+)?) ?([kmgt]?)i?b?$/i.exec(text) ?? [];
  const bytes = Math.floor(Number(number) * units[unit.toLowerCase() as keyof typeof units]);
  // -1 is without end in Docker; a node's disk is not.
  if (number === "" || bytes <= 0) throw badRequest(`invalid log opt max-size=${text}: a size such as 10m is expected`);
  return bytes;
}

function countOf(text: string): number {
  if (!/^[1-9]\d{0,5}$/.test(text))
    throw badRequest(`invalid log opt max-file=${text}: a number from 1 on is expected`);
  return Number(text);
}

/** What is kept otherwise than asked. */
export function logWarnings({ LogConfig }: Pick<HostConfig, "LogConfig">): readonly string[] {
  const known = ["max-size", "max-file", "compress", "mode"];
  const { Config } = LogConfig;
  return [
    ...Object.keys(Config)
      .filter((key) => !known.includes(key))
      .map((key) => `HostConfig.LogConfig.${key} is not supported: the option is not applied`),
    ...(Config["compress"] === "true"
      ? ["HostConfig.LogConfig.compress is not supported: old files stay as they are"]
      : []),
    ...(Config["mode"] === "non-blocking"
      ? ["HostConfig.LogConfig.mode is not supported: what is written waits for its log"]
      : []),
    ...(Number(Config["max-file"]) > filesMost
      ? [`HostConfig.LogConfig.max-file=${Config["max-file"]} is more than Naru keeps: ${filesMost} files`]
      : []),
  ];
}
