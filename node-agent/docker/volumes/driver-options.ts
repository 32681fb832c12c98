// Options of the local driver, in mount(8)'s words: what is mounted where the volume's files are. Pure.
import type { JsonObject } from "../http/json.ts";
import { badRequest } from "../http/problem.ts";

/** Empty: a plain folder. */
export type DriverOptions = Readonly<Partial<Record<(typeof names)[number], string>>>;

const names = ["type", "o", "device"] as const;

/** Throws for options that the local driver does not have. */
export function parseDriverOptions(options: JsonObject): DriverOptions {
  if (options.has("size"))
    throw badRequest(
      `${options.at("size")}: sizes of volumes need quotas of the node's file system, which Naru does not set; use type=tmpfs with o=size=${options.text("size")}`,
    );
  const unknown = options.keys().find((key) => !names.some((name) => name === key));
  if (unknown !== undefined)
    throw badRequest(`invalid option: ${JSON.stringify(unknown)}: there are ${names.join(", ")}`);
  if (options.keys().length === 0) return {};
  const missing = ["device", "type"].find((name) => options.text(name) === "");
  if (missing !== undefined) throw badRequest(`missing required option: ${JSON.stringify(missing)}`);
  return Object.fromEntries(options.keys().map((key) => [key, options.text(key)]));
}
