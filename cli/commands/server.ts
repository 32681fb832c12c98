// naru server: a control plane of its own.
import { type Command, logLevels, numberOption } from "../command.ts";
import { checkPorts } from "../up/ports.ts";

export const server: Command = {
  name: "server",
  summary: "Run a control plane",
  usage: "server [--data FOLDER] [--store URL] [--address IP] [--port N]",
  examples: [
    "naru server",
    "naru server --store etcd://10.0.0.1:2379,10.0.0.2:2379 --host naru.example.com",
    "naru server --not-ready-after 1000 --evict-after 3000",
  ],
  options: {
    data: {
      type: "string",
      value: "FOLDER",
      default: "/var/lib/naru",
      help: "certificates, kubeconfig and the embedded store",
    },
    store: {
      type: "string",
      value: "URL",
      help: "etcd://HOST:PORT,… or sqlite:FILE (default: sqlite in the data folder)",
    },
    address: { type: "string", value: "IP", default: "0.0.0.0", help: "where to listen" },
    advertise: {
      type: "string",
      value: "IP",
      default: "127.0.0.1",
      help: "address that clients and nodes use, as the kubeconfig names it",
    },
    port: { type: "string", value: "N", default: "6443", help: "of the API (HTTPS)" },
    "node-port": { type: "string", value: "N", default: "6444", help: "that agents dial (gRPC)" },
    host: {
      type: "string",
      multiple: true,
      value: "NAME",
      help: "further names and addresses for the server's certificate",
    },
    "cluster-cidr": { type: "string", value: "CIDR", default: "10.244.0.0/16", help: "pods' addresses" },
    heartbeat: { type: "string", value: "MS", default: "200", help: "how often nodes say that they live" },
    "not-ready-after": {
      type: "string",
      value: "MS",
      default: "1000",
      help: "silence after which a node counts as lost",
    },
    "evict-after": { type: "string", value: "MS", default: "3000", help: "from then until its pods are replaced" },
    "start-grace": {
      type: "string",
      value: "MS",
      default: "3000",
      help: "after the server's start, how long nodes may take to dial in before they count as lost",
    },
    "log-level": {
      type: "string",
      value: "LEVEL",
      default: "info",
      help: "debug, info, warn or error",
      complete: logLevels,
    },
  },
  runsUntilSignalled: true,
  run: async (invocation) => {
    const { runServer } = await import("../../server/main.ts");
    const text = (name: string) => invocation.text(name) ?? "";
    const number = (name: string) => numberOption(invocation, name) ?? 0;
    await checkPorts(text("address"), [number("port"), number("node-port")]);
    await runServer(
      {
        dataDir: text("data"),
        storeUrl: invocation.text("store") ?? `sqlite:${text("data")}/store.db`,
        address: text("address"),
        advertise: text("advertise"),
        port: number("port"),
        nodePort: number("node-port"),
        hosts: invocation.texts("host"),
        clusterCidr: text("cluster-cidr"),
        heartbeatMs: number("heartbeat"),
        notReadyAfterMs: number("not-ready-after"),
        evictAfterMs: number("evict-after"),
        startGraceMs: number("start-grace"),
        logLevel: text("log-level"),
      },
      invocation.signal,
    );
    return 0;
  },
};
