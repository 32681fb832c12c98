// A real etcd server for tests and benchmarks, in a folder of its own, that can be killed and restarted.
import { type ChildProcess, spawn } from "node:child_process";
import { rm } from "node:fs/promises";
import { createServer } from "node:net";
import { makeTestFolder } from "./folders.ts";
import { debianProgram } from "./tools.ts";

export interface EtcdServer extends AsyncDisposable {
  readonly host: string;
  kill(): Promise<void>;
  restart(): Promise<void>;
}

export async function startEtcd(): Promise<EtcdServer> {
  const program = await debianProgram("etcd-server", "usr/bin/etcd");
  const folder = makeTestFolder("etcd");
  const [clientPort, peerPort] = await freePorts();
  const host = `127.0.0.1:${clientPort}`;
  const peer = `http://127.0.0.1:${peerPort}`;
  const flags = ["--name", "a", "--data-dir", folder, "--log-level", "error", "--initial-cluster", `a=${peer}`].concat(
    ["--listen-client-urls", `http://${host}`, "--advertise-client-urls", `http://${host}`],
    ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer],
  );
  let child: ChildProcess;
  const start = async () => {
    child = spawn(program, flags, { stdio: "ignore" });
    // Ready when it can serve reads, which takes an election.
    while (true) {
      if (child.exitCode !== null) throw new Error(`etcd ended with code ${child.exitCode}`);
      const health = await fetch(`http://${host}/health`).catch(() => undefined);
      const body = (await health?.json().catch(() => undefined)) as { health?: string } | undefined;
      if (body?.health === "true") return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  const kill = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await ended;
  };
  const killWithTest = () => child.kill("SIGKILL");
  process.once("exit", killWithTest);
  await start();
  return {
    host,
    kill,
    restart: start,
    [Symbol.asyncDispose]: async () => {
      process.removeListener("exit", killWithTest);
      await kill();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function freePorts(): Promise<readonly [number, number]> {
  const servers = [createServer(), createServer()];
  const ports = await Promise.all(
    servers.map(
      (server) =>
        new Promise<number>((resolve) =>
          server.listen(0, "127.0.0.1", () => resolve((server.address() as { port: number }).port)),
        ),
    ),
  );
  for (const server of servers) server.close();
  return [ports[0] ?? 0, ports[1] ?? 0];
}
