// How output looks: colour on a terminal only, tables everywhere.
import pc from "picocolors";

// Said outright: left open, the library takes CI for a terminal.
export const { red, green, yellow, dim, bold, cyan } = pc.createColors(
  process.stdout.isTTY === true && process.env["NO_COLOR"] === undefined,
);

const good = /^(Running|Ready|Active|Bound|Available|Completed|Succeeded|True)$/;
const bad = /(Error|BackOff|Failed|NotReady|Unknown|Evicted|OOMKilled|Invalid|False)/;
const middling = /^(Pending|Terminating|ContainerCreating|Init:|PodInitializing|NotReady)/;

/** Left-aligned columns, two spaces apart, statuses coloured. */
export function printTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = header.length === 0 ? rows : [header, ...rows];
  const widths = (all[0] ?? []).map((_, i) => Math.max(...all.map((row) => (row[i] ?? "").length)));
  return all
    .map((row, at) =>
      row
        .map((cell, i) => {
          const padded = i === row.length - 1 ? cell : cell.padEnd((widths[i] ?? 0) + 2);
          return at === 0 && header.length > 0 ? bold(padded) : colourOf(cell)(padded);
        })
        .join(""),
    )
    .join("\n");
}

function colourOf(cell: string): (text: string) => string {
  if (good.test(cell)) return green;
  if (middling.test(cell)) return yellow;
  return bad.test(cell) ? red : (text) => text;
}
