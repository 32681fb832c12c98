// naru-oci list: the containers below --root.
import { type Arguments, optionValue } from "../arguments.ts";
import type { Command } from "../command.ts";
import { listRecords, ociVersion } from "../state.ts";
import { wholeStatus } from "./state.ts";

export const listCommand: Command = {
  name: "list",
  usage: "list [--format table|json] [--quiet]",
  help: "print the containers",
  options: [
    { name: "format", short: "f", value: "format", help: "table or json" },
    { name: "quiet", short: "q", help: "ids only" },
  ],
  run(args, { root }) {
    const containers = listRecords(root).map((record) => ({
      ociVersion,
      id: record.id,
      pid: record.process?.pid ?? 0,
      status: wholeStatus(root, record),
      bundle: record.bundle,
      created: record.createdAt,
    }));
    if (args.flags.has("quiet")) for (const { id } of containers) console.log(id);
    else if (formatOf(args) === "json") console.log(JSON.stringify(containers));
    else
      printTable([
        ["ID", "PID", "STATUS", "BUNDLE", "CREATED"],
        ...containers.map(({ id, pid, status, bundle, created }) => [id, String(pid), status, bundle, created]),
      ]);
    return 0;
  },
};

export function formatOf(args: Arguments): "table" | "json" {
  const format = optionValue(args, "format") ?? "table";
  if (format !== "table" && format !== "json") throw new Error(`--format ${format}: table or json is expected`);
  return format;
}

export function printTable(rows: readonly (readonly string[])[]): void {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  for (const row of rows)
    console.log(
      row
        .map((text, i) => text.padEnd(widths[i] ?? 0))
        .join("   ")
        .trimEnd(),
    );
}
