// Whether the server's ports are free, and who holds one that is not.
import { once } from "node:events";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { createServer, isIPv4 } from "node:net";

/** Refuses with the port and its holder. */
export async function checkPorts(address: string, ports: readonly number[]): Promise<void> {
  for (const port of ports) {
    const server = createServer();
    try {
      server.listen(port, address);
      await once(server, "listening");
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "EADDRNOTAVAIL") throw new Error(`this machine has no address ${address} to listen on`);
      if (code !== "EADDRINUSE") throw error;
      const holder = holderOf(port, address) ?? "another process";
      throw new Error(`port ${port} is in use: ${holder} listens on it, and the cluster's server needs it`);
    } finally {
      server.close();
    }
  }
}

/** What listens on an address and port of this network namespace, in words. */
export function holderOf(port: number, address?: string): string | undefined {
  const inodes = ["/proc/net/tcp", "/proc/net/tcp6"].flatMap((path) =>
    listenersOf(readFileSync(path, "utf8"), port, address),
  );
  const links = inodes.map((inode) => `socket:[${inode}]`);
  const pid = readdirSync("/proc").find(
    (name) => /^\d+$/.test(name) && descriptorsOf(name).some((one) => links.includes(one)),
  );
  if (pid === undefined) return undefined;
  const [program = "", ...args] = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
  return `process ${pid} (${[program.split("/").at(-1), ...args.slice(0, 3)].join(" ").trim()})`;
}

/** Inodes of the sockets that listen on a port, from proc_pid_net_tcp(5); of an IPv4 address those on it or on all. Pure. */
export function listenersOf(table: string, port: number, address = "0.0.0.0"): readonly string[] {
  const wanted = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  const isMeant = (local: string) => {
    const [bytes = ""] = local.split(":");
    return !isIPv4(address) || address === "0.0.0.0" || /^0+$/.test(bytes) || bytes.endsWith(kernelText(address));
  };
  return table
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .filter(([, local = "", , state]) => state === "0A" && local.endsWith(wanted) && isMeant(local))
    .flatMap((fields) => fields[9] ?? []);
}

// The kernel prints the bytes of an address as its own numbers have them: the last one first.
function kernelText(address: string): string {
  const bytes = address.split(".").map((byte) => Number(byte).toString(16).toUpperCase().padStart(2, "0"));
  return bytes.reverse().join("");
}

function descriptorsOf(pid: string): readonly string[] {
  const folder = `/proc/${pid}/fd`;
  return whileThere(() => readdirSync(folder)).flatMap((fd) => whileThere(() => [readlinkSync(`${folder}/${fd}`)]));
}

// Processes and their descriptors go while we look.
function whileThere(look: () => readonly string[]): readonly string[] {
  try {
    return look();
  } catch {
    return [];
  }
}
