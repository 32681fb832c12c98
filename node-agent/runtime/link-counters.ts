// What went over the links that a process sees, as the kernel counts it. Source: proc_pid_net(5), "dev".
import { readFileSync } from "node:fs";

/** Under the names that Docker's API has for them. */
export interface LinkCounters {
  readonly rx_bytes: number;
  readonly rx_packets: number;
  readonly rx_errors: number;
  readonly rx_dropped: number;
  readonly tx_bytes: number;
  readonly tx_packets: number;
  readonly tx_errors: number;
  readonly tx_dropped: number;
}

/** By link, without the loopback; none when the process is gone. */
export function readNetworks(pid: number): Readonly<Record<string, LinkCounters>> {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/net/dev`, "utf8");
  } catch {
    return {};
  }
  const found = text.split("\n").flatMap((line) => {
    const [, name, values = ""] = /^\s*(\S+):\s*(.*)$/.exec(line) ?? [];
    if (name === undefined || name === "lo") return [];
    const numbers = values.trim().split(/\s+/).map(Number);
    const at = (i: number) => numbers[i] ?? 0;
    const received = { rx_bytes: at(0), rx_packets: at(1), rx_errors: at(2), rx_dropped: at(3) };
    const sent = { tx_bytes: at(8), tx_packets: at(9), tx_errors: at(10), tx_dropped: at(11) };
    return [[name, { ...received, ...sent }] as const];
  });
  return Object.fromEntries(found);
}
