// Names and numbers of signals, as images, pods and commands write them. Pure.
import { constants } from "node:os";

const names: Readonly<Record<string, number>> = constants.signals;
const realtimeMin = 34;
const last = 64;

/** "SIGTERM", "term", "15", "SIGRTMIN+3", "SIGRTMAX-2"; undefined for what is none. */
export function signalNumber(text: string): number | undefined {
  const name = text.trim().toUpperCase();
  if (/^\d{1,2}$/.test(name)) return inRange(Number(name));
  const full = name.startsWith("SIG") ? name : `SIG${name}`;
  const [, end, sign = "+", offset = "0"] = /^SIGRTM(IN|AX)(?:([+-])(\d{1,2}))?$/.exec(full) ?? [];
  if (end === undefined) return Object.hasOwn(names, full) ? names[full] : undefined;
  return inRange((end === "IN" ? realtimeMin : last) + (sign === "-" ? -1 : 1) * Number(offset));
}

function inRange(number: number): number | undefined {
  return number >= 1 && number <= last ? number : undefined;
}
