// Runs inside a network namespace for tests: serves, asks, and can be a node's network. Asked over the channel to its parent.
import { createSocket } from "node:dgram";
import { createConnection, createServer, isIPv6 } from "node:net";
import { type Answer, decode, encode, type Packet } from "dns-packet";
import { realClock } from "../../lib/clock.ts";
import { silentLogger } from "../../lib/log.ts";
import { realRandom } from "../../lib/random.ts";
import { launcherCommand } from "./launcher-command.ts";
import { type LinuxNetwork, openLinuxNetwork } from "./linux.ts";
import { launcherPath, type ProbeNetworkOptions } from "./namespace-rig.ts";
import type { ClusterNetworkState } from "./network.ts";

const waitMs = 2000;
const random = realRandom();
let network: LinuxNetwork | undefined;

const functions: Readonly<Record<string, (...args: never[]) => unknown>> = {
  /** Answers each TCP connection and each UDP packet with its name and who asked; gives the port. */
  serve: async (name: string, wantedPort: number, host = "::") => {
    const server = createServer((socket) => {
      socket.on("error", () => {});
      socket.end(`${name} ${socket.remoteAddress?.replace("::ffff:", "")}`);
    });
    await new Promise<void>((resolve, reject) => {
      server.on("error", reject);
      server.listen(wantedPort, host, resolve);
    });
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : wantedPort;
    const socket = createSocket(isIPv6(host) ? "udp6" : "udp4");
    socket.on("message", (_bytes, from) => {
      socket.send(`${name} ${from.address.replace("::ffff:", "")}`, from.port, from.address);
    });
    await new Promise<void>((resolve, reject) => {
      socket.on("error", reject);
      socket.bind(port, host, () => resolve());
    });
    return port;
  },

  /** What the other side says, or "error CODE". */
  ask: (host: string, port: number) =>
    new Promise<string>((resolve) => {
      let text = "";
      const socket = createConnection({ host, port, timeout: waitMs });
      socket.on("data", (bytes) => {
        text += bytes.toString();
      });
      socket.on("timeout", () => {
        socket.destroy();
        resolve("error TIMEOUT");
      });
      socket.on("error", (error: NodeJS.ErrnoException) => resolve(`error ${error.code}`));
      socket.on("end", () => {
        socket.destroy();
        resolve(text);
      });
    }),

  askUdp: (host: string, port: number, localPort = 0) =>
    new Promise<string>((resolve) => {
      const socket = createSocket(isIPv6(host) ? "udp6" : "udp4");
      const finish = (text: string) => {
        clearTimeout(timer);
        socket.close();
        resolve(text);
      };
      const timer = setTimeout(() => finish("error TIMEOUT"), waitMs);
      socket.once("error", (error: NodeJS.ErrnoException) => finish(`error ${error.code}`));
      socket.once("message", (bytes) => finish(bytes.toString()));
      socket.bind(localPort, () => socket.connect(port, host, () => socket.send("?")));
    }),

  resolve: async (server: string, name: string, type: string, transport: "udp" | "tcp") => {
    const query = encode({ type: "query", id: 7, flags: 0x0100, questions: [{ name, type }] });
    const reply = await (transport === "udp" ? exchangeUdp(server, query) : exchangeTcp(server, query));
    return describe(decode(reply));
  },

  open: async (options: ProbeNetworkOptions) => {
    network = await openLinuxNetwork({
      ...options,
      launcher: launcherCommand(launcherPath),
      nft: "nft",
      clock: realClock,
      random,
      log: process.env["NARU_TEST_LOG"] === undefined ? silentLogger : stderrLogger,
    });
  },
  setUp: (node: Parameters<LinuxNetwork["setUp"]>[0]) => network?.setUp(node),
  attachPod: async (uid: string, path: string) => (await network?.attachPod(uid, path))?.ips,
  detachPod: (uid: string) => network?.detachPod(uid),
  attachedPods: () => network?.attachedPods(),
  applyCluster: async (state: ClusterNetworkState) => {
    network?.applyCluster(state);
    await network?.settled();
  },
  tearDown: () => network?.tearDown(),
};

const stderrLogger = {
  ...silentLogger,
  warn: (fields: object, message: string) => console.error(message, fields),
  error: (fields: object, message: string) => console.error(message, fields),
};

function exchangeUdp(server: string, query: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket = createSocket("udp4");
    const timer = setTimeout(() => socket.emit("error", new Error("no answer")), waitMs);
    socket.once("error", (error) => {
      socket.close();
      reject(error);
    });
    socket.once("message", (bytes) => {
      clearTimeout(timer);
      socket.close();
      resolve(bytes);
    });
    socket.connect(53, server, () => socket.send(query));
  });
}

function exchangeTcp(server: string, query: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ host: server, port: 53, timeout: waitMs });
    let received = Buffer.alloc(0);
    socket.on("timeout", () => socket.destroy(new Error("no answer")));
    socket.on("error", reject);
    socket.on("data", (bytes: Buffer) => {
      received = Buffer.concat([received, bytes]);
      if (received.length < 2 || received.length < 2 + received.readUInt16BE(0)) return;
      socket.destroy();
      resolve(received.subarray(2));
    });
    const length = Buffer.alloc(2);
    length.writeUInt16BE(query.length);
    socket.write(Buffer.concat([length, query]));
  });
}

/** "NOERROR A 10.96.0.9, A …", records sorted. */
function describe(packet: Packet): string {
  const text = ({ type, data }: Answer) => {
    if (typeof data !== "object" || data === null || !("target" in data)) return `${type} ${String(data)}`;
    return `${type} ${String(data.target)}:${"port" in data ? String(data.port) : ""}`;
  };
  return `${packet.rcode} ${(packet.answers ?? []).map(text).sort().join(", ")}`.trim();
}

process.on("message", (message: { id: number; name: string; args: never[] }) => {
  const run = async () => functions[message.name]?.(...message.args);
  run().then(
    (value) => process.send?.({ id: message.id, value }),
    (error: Error) => process.send?.({ id: message.id, error: `${error.message} ${String(error.cause ?? "")}` }),
  );
});
process.on("disconnect", () => process.exit(0));
