// The agent's composition: makes the real runtime, images, network, storage and session, and lets the agent work over them.
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { shuttingDownMessage } from "../api/kinds/conditions.ts";
import type { Node } from "../api/kinds/generated/types.ts";
import type { NodeIdentity } from "../client/join.ts";
import { realClock } from "../lib/clock.ts";
import { collectAll, collectWhenQuiet, cpuMsOfProcess, heapBytesOfProcess } from "../lib/idle-memory.ts";
import { realRandom } from "../lib/random.ts";
import packageJson from "../package.json" with { type: "json" };
import { type Agent, openAgent } from "./agent.ts";
import { type AgentOptions, addressTowards, parseLabels, parseListen, parseTaints } from "./agent-options.ts";
import { clearLeftBuilds } from "./build/left-builds.ts";
import { lockAgent } from "./directory-lock.ts";
import { type DockerDoor, openDockerDoor } from "./docker-door.ts";
import { runUntilEnd } from "./end-node.ts";
import { openNodeCare } from "./eviction/open-node-care.ts";
import { allocatable } from "./eviction/reserve.ts";
import { openIdentity, renewIfDue } from "./identity.ts";
import { openImages } from "./images/open-images.ts";
import { isLogLevel, jsonLogger } from "./json-log.ts";
import { lazyBuilder } from "./lazy-builder.ts";
import { openLinuxNetwork } from "./network/linux.ts";
import { type NodeDoors, openNodeDoors } from "./node-doors.ts";
import { openNodeRuntime } from "./node-runtime.ts";
import { nodeObject, nodeStatus, readLoad, readMachine } from "./node-status.ts";
import { sparedByOomKiller } from "./oom-score.ts";
import { peerNodes } from "./peer-nodes.ts";
import { every } from "./periodic.ts";
import { openDiskStorage } from "./pods/disk-storage.ts";
import { realProbeTransport } from "./pods/probe-transport.ts";
import type { RegistriesFile } from "./registries-file.ts";
import { openAppArmor } from "./runtime/apparmor.ts";
import { readMountinfo } from "./runtime/cgroup-files.ts";
import { detectCgroups } from "./runtime/cgroups.ts";
import { openSession } from "./session.ts";
import { grpcTransport } from "./session-grpc.ts";
import type { AgentSession } from "./session-types.ts";
import { openStaticPods } from "./static-pods.ts";
import { streamHandler } from "./streams/serve-stream.ts";

export type { AgentOptions };

const { version } = packageJson;
const initPath = new URL("./docker/init/build/naru-init", import.meta.url).pathname;
const launcherPathDefault = new URL("./launcher/build/naru-launcher", import.meta.url).pathname;
const statusMs = 10_000;
const renewCheckMs = 3_600_000;
/** Runs until the signal is aborted. Containers go on then, unless `stopPods`. */
export async function runAgent(options: AgentOptions, signal: AbortSignal): Promise<void> {
  const clock = realClock;
  const { logLevel } = options;
  if (!isLogLevel(logLevel))
    throw new Error(`log level ${JSON.stringify(logLevel)} must be debug, info, warn or error`);
  const log = jsonLogger(logLevel, { component: "agent", node: options.nodeName }, () => clock.now());
  const random = realRandom();
  const dataDir = resolve(options.dataDir);
  const runDir = resolve(options.runDir);
  for (const dir of [dataDir, runDir]) await mkdir(dir, { recursive: true, mode: 0o700 });
  await using stack = new AsyncDisposableStack();
  stack.use(lockAgent(dataDir));
  await sparedByOomKiller(log);
  const labels = parseLabels(options.labels);
  const taints = parseTaints(options.taints);
  const machine = await readMachine({ ...options, version });

  const serverUrl = new URL(options.server);
  const identityOptions = {
    dir: join(dataDir, "identity"),
    server: options.server,
    nodeName: options.nodeName,
    joinToken: options.joinToken,
    clock,
    random,
    log,
  };
  let identity = await openIdentity(identityOptions, signal);
  const serverHost = serverUrl.hostname.replace(/^\[|\]$/g, "");
  const nodeIp = options.nodeIp ?? (await addressTowards(serverHost, Number(serverUrl.port || 443), signal));

  const launcherPath = options.launcherPath ?? launcherPathDefault;
  const runtime = stack.use(await openNodeRuntime({ clock, log, options, dataDir, runDir, launcherPath, nodeIp }));
  // The session, which comes later, knows the others.
  let peersOf: () => readonly Node[] = () => [];
  const peers = {
    nodeName: options.nodeName,
    nodes: () => peerNodes(peersOf()),
    tls: () => tlsOf(identity),
  };
  const configured = options.registriesFile === undefined ? {} : await readRegistries(options.registriesFile);
  const insecure = options.insecureRegistries.map((host) => [host, { ...configured[host], insecure: true }] as const);
  const registries = { ...configured, ...Object.fromEntries(insecure) };
  const images = stack.use(
    await openImages({
      dir: join(dataDir, "images"),
      runDir: join(runDir, "images"),
      clock,
      random,
      log,
      registries,
      peers,
    }),
  );
  const clusterDomain = options.clusterDomain ?? "cluster.local";
  const clusterCidrs = options.clusterCidrs ?? ["10.244.0.0/16"];
  const serviceCidr = options.serviceCidr ?? "10.96.0.0/16";
  const nft = ["/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft"].find((path) => existsSync(path)) ?? "nft";
  const network = stack.use(
    await openLinuxNetwork({
      launcher: runtime,
      nft,
      stateDir: join(runDir, "network"),
      clusterCidrs,
      serviceCidr,
      clusterDomain,
      clock,
      random,
      log,
    }),
  );
  // Steps of builds reach out as pods do.
  await clearLeftBuilds({ runtime, images, leaveNetwork: (id) => network.detachPod(id) });
  const builder = lazyBuilder({
    images,
    runtime,
    clock,
    network: {
      join: async (id, networkPath) => {
        await network.attachPod(id, networkPath);
        return { resolvConf: network.resolvConf("default") };
      },
      leave: (id) => network.detachPod(id),
    },
  });
  const storage = await openDiskStorage({ dataDir, runDir, images });

  let agent: Agent | undefined;
  let doors: NodeDoors | undefined;
  let docker: DockerDoor | undefined;
  let report = () => {};
  const { pressure, reserved, load } = await openNodeCare({
    ...{ clock, log, options, machine, dataDir, runtime, images, storage },
    agent: () => agent,
    onChange: () => report(),
  });
  stack.use(pressure);
  const offered = allocatable(machine, load(), reserved);
  let imageList = await images.list();
  const status = () =>
    nodeStatus(
      {
        name: options.nodeName,
        nodeIp,
        machine,
        load: load(),
        pressures: pressure.conditions,
        reserved,
        images: imageList,
        handlers: runtime.handlers,
        volumes: agent?.localVolumes.notes() ?? [],
        notReady: notReadyReason(agent),
        metricsPort: doors?.metricsPort,
      },
      clock.now(),
    );
  const session = openSession(
    {
      node: () => nodeObject(options.nodeName, labels, taints, status()),
      agentVersion: version,
      runningPodUids: () => agent?.runningPodUids() ?? [],
      onStream: streamHandler({ agent: () => agent, runtime, images, builder, storage, launcherPath, clock }),
    },
    {
      clock,
      random,
      log,
      transport: grpcTransport({
        addresses: [`${serverUrl.hostname}:${options.sessionPort}`, ...(options.sessionAddresses ?? [])],
        credentials: () => identity,
      }),
    },
  );
  peersOf = () => session.cache.list("nodes");
  const measured = { agent: () => agent, runtime, machine, now: () => clock.now() };
  doors = stack.use(
    await openNodeDoors(
      {
        ...{ clock, log, options, nodeIp, images, peers },
        identity: () => identity,
        metrics: async () => {
          const { openMetrics } = await import("./metrics.ts");
          return openMetrics({
            ...measured,
            version,
            readLoad: () => readLoad(dataDir),
            pressure: () => pressure.counts,
          });
        },
        pages: {
          "/metrics/cadvisor": async () => (await import("./kubelet-pages.ts")).cadvisorPage(measured),
          "/metrics/resource": async () => (await import("./kubelet-pages.ts")).resourcePage(measured),
        },
      },
      signal,
    ),
  );

  agent = await openAgent({
    clock,
    log,
    runtime,
    images,
    network,
    storage,
    transport: realProbeTransport,
    requestToken: session.requestToken,
    cache: session.cache,
    reports: session.reports,
    node: {
      nodeName: options.nodeName,
      nodeIp,
      allocatableCpuMilli: offered.cpuMilli,
      allocatableMemoryBytes: offered.memoryBytes,
      allocatableEphemeralStorageBytes: offered.ephemeralStorageBytes,
      memoryCapacityBytes: machine.memoryBytes,
      podsMax: machine.podsMax,
      allowedUnsafeSysctls: options.allowedUnsafeSysctls ?? [],
      appArmor: openAppArmor(),
      clusterDomain,
    },
    refusal: (pod) => pressure.refusal(pod),
  });

  const opened = agent;
  stack.use(
    await openStaticPods({
      dir: join(dataDir, "manifests"),
      nodeName: options.nodeName,
      clock,
      log,
      onPods: (pods) => opened.setStaticPods(pods),
    }),
  );

  report = reporter(session, status);
  agent.onNodeChange(() => report());
  stack.use(
    every(
      clock,
      statusMs,
      async () => {
        imageList = await images.list();
        report();
      },
      log,
    ),
  );
  stack.use(
    every(
      clock,
      renewCheckMs,
      async () => {
        const renewed = await renewIfDue(identityOptions, identity, signal);
        if (renewed === undefined) return;
        identity = renewed;
        docker?.setTls(tlsOf(renewed));
        doors?.setIdentity(renewed);
      },
      log,
    ),
  );

  if (options.dockerSocket !== "off") {
    const socketPath = options.dockerSocket ?? join(runDir, "docker.sock");
    docker = await openDockerDoor({
      ...{ clock, random, log, runtime, images, nft, nodeIp, version, initPath, socketPath },
      launcher: runtime,
      dataDir: join(dataDir, "docker"),
      runDir: join(runDir, "docker"),
      reserved: [...clusterCidrs, serviceCidr],
      cgroupVersion: detectCgroups(readMountinfo())?.version ?? 2,
      insecureRegistries: options.insecureRegistries,
      listen:
        options.dockerListen === undefined
          ? undefined
          : { ...parseListen(options.dockerListen, nodeIp), tls: tlsOf(identity) },
    });
    stack.use(docker);
  }

  stack.use(collectWhenQuiet({ clock, cpuMs: cpuMsOfProcess, heapBytes: heapBytesOfProcess, collect: collectAll }));
  await runUntilEnd({ options, log, session, agent, docker, network, runtime, storage }, signal);
}

function notReadyReason(agent: Agent | undefined): string | undefined {
  if (agent?.shuttingDown === true) return shuttingDownMessage;
  return agent?.networkUp === true ? undefined : "the node waits for its pod network";
}

function tlsOf({ certificatePem, keyPem, authorityPem }: NodeIdentity) {
  return { cert: certificatePem, key: keyPem, ca: authorityPem };
}

// Brings the reader of YAML along, which takes 4 MB.
async function readRegistries(path: string): Promise<RegistriesFile["registries"]> {
  const { readRegistriesFile } = await import("./registries-file.ts");
  return (await readRegistriesFile(path)).registries;
}

// Sends the node's status when more than its times changed.
function reporter(session: AgentSession, status: () => ReturnType<typeof nodeStatus>): () => void {
  let sent = "";
  return () => {
    const now = status();
    const text = JSON.stringify(now, (key, value) => (key.startsWith("last") ? undefined : value));
    if (text === sent) return;
    sent = text;
    session.reports.nodeStatus(now);
  };
}
