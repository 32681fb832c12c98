// naru agent: this machine becomes a node.
import { hostname } from "node:os";
import type { AgentOptions, EvictionOptions } from "../../node-agent/agent-options.ts";
import { parseShutdownGroups, shutdownGroups } from "../../node-agent/shutdown.ts";
import { type Command, type Invocation, logLevels, numberOption, UsageError } from "../command.ts";
import { requireMachine } from "../machine-checks.ts";

export const agent: Command = {
  name: "agent",
  summary: "Make this machine a node of a cluster",
  usage: "agent --server URL --join TOKEN",
  examples: [
    "naru agent --server https://10.0.0.1:6443 --join $(ssh server naru token)",
    "naru agent --server https://10.0.0.1:6443 --server https://10.0.0.2:6443 --join $TOKEN",
    "naru agent --server https://10.0.0.1:6443 --label disk=ssd --taint gpu=yes:NoSchedule",
  ],
  options: {
    server: {
      type: "string",
      multiple: true,
      value: "URL",
      help: "the cluster's API, such as https://10.0.0.1:6443; once for each server that shares the cluster's etcd",
    },
    "node-port": { type: "string", value: "N", default: "6444", help: "port of the server that agents dial (gRPC)" },
    join: { type: "string", value: "TOKEN", help: "from `naru token`, or in $NARU_TOKEN; needed only the first time" },
    name: { type: "string", value: "NAME", help: "of the node (default: this machine's host name)" },
    address: { type: "string", value: "IP", help: "of the node, as other nodes reach it" },
    data: {
      type: "string",
      value: "FOLDER",
      default: "/var/lib/naru-agent",
      help: "images, containers, the node's certificate",
    },
    run: { type: "string", value: "FOLDER", default: "/run/naru-agent", help: "sockets and mounts" },
    cgroup: { type: "string", value: "PATH", default: "/naru-agent", help: "below which containers' cgroups are made" },
    label: { type: "string", multiple: true, value: "KEY=VALUE", help: "label of the node" },
    taint: { type: "string", multiple: true, value: "KEY=VALUE:EFFECT", help: "taint of the node" },
    cpus: { type: "string", value: "N", help: "CPUs to offer (default: all)" },
    memory: { type: "string", value: "BYTES", help: "memory to offer (default: all)" },
    registries: {
      type: "string",
      value: "FILE",
      help: "YAML with mirrors, authorities, credentials and signature keys by registry",
    },
    "system-reserved": {
      type: "string",
      value: "LIST",
      help: "kept from pods for the node's own programs, such as cpu=500m,memory=1Gi (default: memory=128Mi,pid=1000)",
    },
    "eviction-hard": {
      type: "string",
      value: "LIST",
      help: "below these pods are evicted, such as memory.available<100Mi,nodefs.available<10% (default: the kubelet's)",
    },
    "eviction-soft": {
      type: "string",
      value: "LIST",
      help: "the same after a grace period, such as memory.available<1Gi",
    },
    "eviction-soft-grace-period": { type: "string", value: "LIST", help: "of each of them: memory.available=1m30s" },
    "eviction-max-pod-grace-period": {
      type: "string",
      value: "SECONDS",
      help: "pods get at most so long to end when a soft threshold is passed (default: hardly any time)",
    },
    "eviction-minimum-reclaim": {
      type: "string",
      value: "LIST",
      help: "once below a threshold, so much more than that is freed: nodefs.available=500Mi",
    },
    "eviction-pressure-transition-period": {
      type: "string",
      value: "SECONDS",
      help: "how long the node keeps off pods after it was under pressure (default: 300)",
    },
    "image-gc-high-threshold": {
      type: "string",
      value: "PERCENT",
      help: "of the disk in use: from here on images that nothing uses are removed (default: 85)",
    },
    "image-gc-low-threshold": { type: "string", value: "PERCENT", help: "until so much is in use (default: 80)" },
    "image-minimum-gc-age": {
      type: "string",
      value: "SECONDS",
      help: "images that were used within this time stay (default: 120)",
    },
    "image-maximum-gc-age": {
      type: "string",
      value: "SECONDS",
      help: "images that nothing has used for so long go in any case (default: none)",
    },
    "insecure-registry": { type: "string", multiple: true, value: "HOST", help: "registry to speak plain HTTP with" },
    "oci-runtime": {
      type: "string",
      multiple: true,
      value: "NAME=PROGRAM",
      help: "OCI runtime that RuntimeClasses may name, with options behind its path (runc and crun on the PATH are found)",
    },
    "allowed-unsafe-sysctl": {
      type: "string",
      multiple: true,
      value: "NAME",
      help: "kernel setting that pods may change besides the safe ones, such as net.core.*",
    },
    "docker-socket": {
      type: "string",
      value: "PATH",
      help: "where Docker's API is served (default: docker.sock in the --run folder); off: nowhere",
    },
    "docker-listen": {
      type: "string",
      value: "[ADDRESS:]PORT",
      help: "serve it over TLS, too, for administrators' certificates, such as 2376",
    },
    "stop-pods": { type: "boolean", help: "when stopped, stop all containers too and leave nothing behind" },
    "stop-grace-period": {
      type: "string",
      value: "SECONDS",
      help: "with --stop-pods: what pods get at most to end by themselves (default: 10); a second signal ends them at once",
    },
    "shutdown-grace-period": {
      type: "string",
      value: "SECONDS",
      help: "when stopped as the machine goes down, pods get so long to end, and are replaced elsewhere",
    },
    "shutdown-grace-period-critical-pods": {
      type: "string",
      value: "SECONDS",
      help: "of that, how much is kept for pods that the cluster needs, which end last (default: a third)",
    },
    "shutdown-grace-period-by-pod-priority": {
      type: "string",
      value: "LIST",
      help: "instead of both: seconds for pods from a priority on, lowest first: 0=60,1000=20,2000000000=10",
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
    const [server, ...others] = invocation.texts("server");
    if (server === undefined) throw new UsageError("name the cluster: --server https://HOST:6443");
    const nodePort = numberOption(invocation, "node-port") ?? 6444;
    requireMachine();
    const { runAgent } = await import("../../node-agent/main.ts");
    const text = (name: string) => invocation.text(name) ?? "";
    const optional = <K extends string>(key: K, value: string | undefined) =>
      value === undefined ? {} : ({ [key]: value } as Record<K, string>);
    await runAgent(
      {
        server,
        sessionPort: nodePort,
        sessionAddresses: others.map((url) => `${new URL(url).hostname}:${nodePort}`),
        nodeName: invocation.text("name") ?? hostname().toLowerCase(),
        dataDir: text("data"),
        runDir: text("run"),
        cgroupParent: text("cgroup"),
        labels: invocation.texts("label"),
        taints: invocation.texts("taint"),
        insecureRegistries: invocation.texts("insecure-registry"),
        ociRuntimes: invocation.texts("oci-runtime"),
        allowedUnsafeSysctls: invocation.texts("allowed-unsafe-sysctl"),
        stopPods: invocation.flag("stop-pods"),
        ...stopGraceOf(invocation),
        ...shutdownOf(invocation),
        logLevel: text("log-level"),
        ...optional("joinToken", invocation.text("join") ?? process.env["NARU_TOKEN"]),
        ...optional("nodeIp", invocation.text("address")),
        ...optional("registriesFile", invocation.text("registries")),
        ...optional("dockerSocket", invocation.text("docker-socket")),
        ...optional("dockerListen", invocation.text("docker-listen")),
        ...optional("cpus", invocation.text("cpus")),
        ...optional("memory", invocation.text("memory")),
        ...optional("reserved", invocation.text("system-reserved")),
        eviction: evictionOf(invocation),
        imageCollection: imageCollectionOf(invocation),
      },
      invocation.signal,
    );
    return 0;
  },
};

function evictionOf(invocation: Invocation): EvictionOptions {
  const text = <K extends string>(key: K, name: string) => {
    const value = invocation.text(name);
    return value === undefined ? {} : ({ [key]: value } as Record<K, string>);
  };
  const seconds = numberOption(invocation, "eviction-pressure-transition-period");
  const graceSeconds = numberOption(invocation, "eviction-max-pod-grace-period");
  return {
    ...text("hard", "eviction-hard"),
    ...text("soft", "eviction-soft"),
    ...text("softGrace", "eviction-soft-grace-period"),
    ...text("minimumReclaim", "eviction-minimum-reclaim"),
    ...(seconds === undefined ? {} : { transitionMs: seconds * 1000 }),
    ...(graceSeconds === undefined ? {} : { podGraceMsMax: graceSeconds * 1000 }),
  };
}

function imageCollectionOf(invocation: Invocation): NonNullable<AgentOptions["imageCollection"]> {
  const high = numberOption(invocation, "image-gc-high-threshold");
  const low = numberOption(invocation, "image-gc-low-threshold");
  if ((low ?? 80) >= (high ?? 85))
    throw new UsageError("--image-gc-low-threshold must be below --image-gc-high-threshold (85 by default)");
  const [minAge, maxAge] = ["image-minimum-gc-age", "image-maximum-gc-age"].map((name) =>
    numberOption(invocation, name),
  );
  return {
    ...(high === undefined ? {} : { highPercent: high }),
    ...(low === undefined ? {} : { lowPercent: low }),
    ...(minAge === undefined ? {} : { minAgeMs: minAge * 1000 }),
    ...(maxAge === undefined ? {} : { maxAgeMs: maxAge * 1000 }),
  };
}

function stopGraceOf(invocation: Invocation): Pick<AgentOptions, "stopGraceMs"> {
  const seconds = numberOption(invocation, "stop-grace-period");
  return seconds === undefined ? {} : { stopGraceMs: seconds * 1000 };
}

function shutdownOf(invocation: Invocation): Pick<AgentOptions, "shutdown"> {
  const byPriority = invocation.text("shutdown-grace-period-by-pod-priority");
  const seconds = numberOption(invocation, "shutdown-grace-period");
  const critical = numberOption(invocation, "shutdown-grace-period-critical-pods");
  if (byPriority !== undefined) {
    if ((seconds ?? critical) !== undefined)
      throw new UsageError("--shutdown-grace-period-by-pod-priority takes the place of --shutdown-grace-period");
    return { shutdown: parseShutdownGroups(byPriority) };
  }
  if (seconds === undefined) {
    if (critical === undefined) return {};
    throw new UsageError("--shutdown-grace-period-critical-pods is a part of --shutdown-grace-period: give that too");
  }
  const graceMs = seconds * 1000;
  return { shutdown: shutdownGroups(graceMs, critical === undefined ? graceMs / 3 : critical * 1000) };
}
