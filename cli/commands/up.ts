// naru up: a whole cluster on this machine, until it is signalled.
import { type Command, logLevels, numberOption, UsageError } from "../command.ts";
import { requireMachine } from "../machine-checks.ts";
import { bold, dim } from "../terminal.ts";
import { runCluster } from "../up/cluster.ts";

export const up: Command = {
  name: "up",
  summary: "Run a whole cluster on this machine",
  usage: "up [--nodes N]",
  examples: ["naru up", "naru up --nodes 3 --demo", "naru up --name test --nodes 2 --store etcd://127.0.0.1:2379"],
  options: {
    nodes: {
      type: "string",
      value: "N",
      default: "1",
      help: "nodes, each as a host of its own in a network namespace",
    },
    demo: { type: "boolean", help: "run the hello service of charts/hello" },
    name: { type: "string", value: "NAME", default: "naru", help: "of the cluster; several can run side by side" },
    data: {
      type: "string",
      value: "FOLDER",
      help: "state that the next start carries on from (default: /var/lib/NAME)",
    },
    store: { type: "string", value: "URL", help: "etcd://HOST:PORT,… instead of the embedded store" },
    subnet: {
      type: "string",
      value: "CIDR",
      help: "addresses of the nodes, such as 192.168.250.0/24 (default: a free 192.168.x.0/24)",
    },
    cpus: { type: "string", value: "N", help: "CPUs that each node offers (default: all of this machine's)" },
    memory: { type: "string", value: "BYTES", help: "memory that each node offers (default: an equal share)" },
    "insecure-registry": { type: "string", multiple: true, value: "HOST", help: "registry to speak plain HTTP with" },
    "oci-runtime": {
      type: "string",
      multiple: true,
      value: "NAME=PROGRAM",
      help: "OCI runtime that RuntimeClasses may name, with options behind its path (runc and crun on the PATH are found)",
    },
    "docker-listen": {
      type: "string",
      value: "PORT",
      help: "of each node, on which Docker's API is served over TLS for the cluster's administrators",
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
    const startedMs = performance.now();
    const nodes = numberOption(invocation, "nodes") ?? 1;
    if (nodes < 1 || nodes > 100) throw new UsageError(`--nodes takes 1 to 100, got ${nodes}`);
    const name = invocation.text("name") ?? "naru";
    if (!/^[a-z][a-z0-9-]{0,30}$/.test(name))
      throw new UsageError(`--name takes small letters, digits and "-", got ${JSON.stringify(name)}`);
    requireMachine();
    const optional = <K extends string>(key: K, value: string | undefined) =>
      value === undefined ? {} : ({ [key]: value } as Record<K, string>);
    await runCluster(
      {
        name,
        nodes,
        demo: invocation.flag("demo"),
        dataDir: invocation.text("data") ?? `/var/lib/${name}`,
        insecureRegistries: invocation.texts("insecure-registry"),
        ociRuntimes: invocation.texts("oci-runtime"),
        logLevel: invocation.text("log-level") ?? "info",
        ...optional("storeUrl", invocation.text("store")),
        ...optional("subnet", invocation.text("subnet")),
        ...optional("dockerListen", invocation.text("docker-listen")),
        ...optional("cpus", invocation.text("cpus")),
        ...optional("memory", invocation.text("memory")),
      },
      {
        say: (text) => console.log(dim(text)),
        ready: ({ kubeconfig, url, nodeNames }) => {
          if (url !== undefined) console.log(`url: ${bold(url)}`);
          console.log(`kubeconfig: ${kubeconfig}`);
          console.log(`nodes: ${nodeNames.join(", ")}`);
          console.log(
            nextSteps(kubeconfig, url)
              .map((line) => dim(line))
              .join("\n"),
          );
          console.log(`ready in ${((performance.now() - startedMs) / 1000).toFixed(1)} s`);
        },
      },
      invocation.signal,
    );
    return 0;
  },
};

function nextSteps(kubeconfig: string, url: string | undefined): readonly string[] {
  return [
    "try next, in another terminal:",
    `  export KUBECONFIG=${kubeconfig}`,
    ...(url === undefined ? [] : [`  curl ${url}`]),
    "  bin/naru get pods -o wide",
    ...(url === undefined
      ? ["  bin/naru apply -f your.yaml"]
      : ["  bin/naru scale deployment/hello --replicas 10", "  kubectl rollout restart deployment/hello"]),
    "stop with Ctrl-C: nothing is left behind but the state, from which the next start carries on",
  ];
}
