// What went over a network interface, as a process in its namespace sees it in proc_pid_net(5), `dev`. Pure.

export interface NetworkUse {
  readonly receivedBytes: number;
  readonly receivedPackets: number;
  readonly receivedErrors: number;
  readonly receivedDropped: number;
  readonly sentBytes: number;
  readonly sentPackets: number;
  readonly sentErrors: number;
  readonly sentDropped: number;
}

/** undefined when there is no such interface. */
export function parseNetworkUse(table: string, name: string): NetworkUse | undefined {
  const line = table.split("\n").find((one) => one.trimStart().startsWith(`${name}:`));
  if (line === undefined) return undefined;
  const numbers = line
    .slice(line.indexOf(":") + 1)
    .trim()
    .split(/\s+/)
    .map(Number);
  const at = (column: number) => numbers[column] ?? 0;
  return {
    receivedBytes: at(0),
    receivedPackets: at(1),
    receivedErrors: at(2),
    receivedDropped: at(3),
    sentBytes: at(8),
    sentPackets: at(9),
    sentErrors: at(10),
    sentDropped: at(11),
  };
}
