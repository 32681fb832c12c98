// Whether the server's ports are free, and who holds one that is not.
import { once } from "node:events";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { createServer } from "node:net";

/** Refuses with the port and its holder. */
export async function checkPorts(address: string, ports: readonly number[]): Promise<void> {
  for (const port of ports) {
    const server = createServer();
    try {
      server.listen(port, address);
      await once(server, "listening");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw error;
      const holder = holderOf(port) ?? "another process";
      throw new Error(`port ${port} is in use: ${holder} listens on it, and the cluster's server needs it`);
    } finally {
      server.close();
    }
  }
}

/** What listens on a port of this network namespace, in words. */
export function holderOf(port: number): string | undefined {
  const inodes = ["/proc/net/tcp", "/proc/net/tcp6"].flatMap((path) => listenersOf(readFileSync(path, "utf8"), port));
  const links = inodes.map((inode) => `socket:[${inode}]`);
  const pid = readdirSync("/proc").find(
    (name) => /^\d+$/.test(name) && descriptorsOf(name).some((one) => links.includes(one)),
  );
  if (pid === undefined) return undefined;
  const [program = "", ...args] = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
  return `process ${pid} (${[program.split("/").at(-1), ...args.slice(0, 3)].join(" ").trim()})`;
}

/** Inodes of the sockets that listen on a port, from proc_pid_net_tcp(5). Pure. */
export function listenersOf(table: string, port: number): readonly string[] {
  const wanted = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  return table
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .filter(([, local = "", , state]) => local.endsWith(wanted) && state === "0A")
    .flatMap((fields) => fields[9] ?? []);
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
