// Reads back why a container ended: its termination file, or the end of its log. Bounded, whatever the container wrote.
import { constants } from "node:fs";
import { open } from "node:fs/promises";

const messageBytesMax = 4096;
const logBytesMax = 2048;
const logLinesMax = 80;

export async function readTerminationMessage(options: {
  readonly path: string;
  /** Absent: the file alone counts. */
  readonly logPath: string | undefined;
}): Promise<string> {
  const message = await readPart(options.path, { fromEnd: false, bytesMax: messageBytesMax });
  if (message !== "" || options.logPath === undefined) return message;
  const lines = (await readPart(options.logPath, { fromEnd: true, bytesMax: 4 * logBytesMax })).split("\n");
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

async function readPart(path: string, part: { readonly fromEnd: boolean; readonly bytesMax: number }): Promise<string> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch(
    () => undefined,
  );
  if (file === undefined) return "";
  try {
    const { size } = await file.stat();
    const buffer = Buffer.alloc(Math.min(size, part.bytesMax));
    const { bytesRead } = await file.read(
      buffer,
      0,
      buffer.length,
      part.fromEnd ? Math.max(0, size - buffer.length) : 0,
    );
    return buffer.subarray(0, bytesRead).toString("utf8");
  } finally {
    await file.close();
  }
}
