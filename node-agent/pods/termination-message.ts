// Reads back why a container ended: its termination file, or the end of its log. Bounded, whatever the container wrote.
import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";

const messageBytesMax = 4096;
const logBytesMax = 2048;
const logLinesMax = 80;

export function readTerminationMessage(options: {
  readonly path: string;
  /** Absent: the file alone counts. */
  readonly logPath: string | undefined;
}): string {
  const message = readPart(options.path, { fromEnd: false, bytesMax: messageBytesMax });
  if (message !== "" || options.logPath === undefined) return message;
  const lines = readPart(options.logPath, { fromEnd: true, bytesMax: 4 * logBytesMax }).split("\n");
  return lines
    .filter((line) => line !== "")
    .map(textOf)
    .slice(-logLinesMax)
    .join("")
    .slice(-logBytesMax);
}

// CRI lines: "time stream tag text"; the tag P says that the line goes on.
function textOf(line: string): string {
  const [, , tag, ...words] = line.split(" ");
  return `${words.join(" ")}${tag === "P" ? "" : "\n"}`;
}

function readPart(path: string, part: { readonly fromEnd: boolean; readonly bytesMax: number }): string {
  let file: number;
  try {
    file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch {
    return "";
  }
  try {
    const { size } = fstatSync(file);
    const buffer = Buffer.alloc(Math.min(size, part.bytesMax));
    const position = part.fromEnd ? Math.max(0, size - buffer.length) : 0;
    const bytesRead = readSync(file, buffer, { position });
    return buffer.subarray(0, bytesRead).toString("utf8");
  } finally {
    closeSync(file);
  }
}
