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
import { openImageServer } from "./image-server.ts";
import { openImages } from "./images/open-images.ts";
import { isLogLevel, jsonLogger } from "./json-log.ts";
import { lazyBuilder } from "./lazy-builder.ts";
import { openLinuxNetwork } from "./network/linux.ts";
import { hasAddress } from "./network/own-address.ts";
import { nodeDoor } from "./node-door.ts";
import { nodeObject, nodeStatus, readLoad, readMachine } from "./node-status.ts";
import { sparedByOomKiller } from "./oom-score.ts";
import { peerNodes } from "./peer-nodes.ts";
import { every } from "./periodic.ts";
import { openDiskStorage } from "./pods/disk-storage.ts";
import { realProbeTransport } from "./pods/probe-transport.ts";
import { messageOf } from "./pods/start-problem.ts";
import type { RegistriesFile } from "./registries-file.ts";
import { openRegistry, registryPort } from "./registry/registry.ts";
import { openAppArmor } from "./runtime/apparmor.ts";
import { readMountinfo } from "./runtime/cgroup-files.ts";
import { detectCgroups } from "./runtime/cgroups.ts";
import { openLinuxRuntime } from "./runtime/linux.ts";
import { findOciPrograms, parseOciProgram, refuseBelowChroot } from "./runtime/oci-programs.ts";
import { openSession } from "./session.ts";
import { grpcTransport } from "./session-grpc.ts";
import type { AgentSession } from "./session-types.ts";
import { openStaticPods } from "./static-pods.ts";
import { streamHandler } from "./streams/serve-stream.ts";
import { openTlsDoor, type TlsDoor } from "./tls-door.ts";

export type { AgentOptions };

const { version } = packageJson;
const initPath = new URL("./docker/init/build/naru-init", import.meta.url).pathname;
const launcherPathDefault = new URL("./launcher/build/naru-launcher", import.meta.url).pathname;
const statusMs = 10_000;
const renewCheckMs = 3_600_000;
/** Ready for what starts next, at 0.2 MB each. */
const waitingSandboxes = 2;

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
  const found = findOciPrograms((options.ociRuntimes ?? []).map(parseOciProgram), process.env["PATH"]);
  const ociPrograms = refuseBelowChroot(found, launcherPath);
  for (const { handler, path, refused } of ociPrograms)
    if (refused !== undefined)
      log.warn({ handler, path, reason: refused }, "an OCI runtime of the machine is not used");
  const runtimeOptions = {
    runDir: join(runDir, "runtime"),
    stateDir: join(dataDir, "runtime"),
    launcherPath,
    cgroupParent: options.cgroupParent,
    ociPrograms,
    clock,
    log,
    waiting: waitingSandboxes,
  };
  let runtime = await openLinuxRuntime(runtimeOptions);
  if (!(await hasAddress(runtime, nodeIp))) {
    // A virtual host was made anew while its launcher lived on: what runs there can reach nobody any more.
    log.warn({ nodeIp }, "the launcher is in another network namespace, its containers are removed");
    await runtime.tearDown();
    runtime = await openLinuxRuntime(runtimeOptions);
  }
  stack.use(runtime);
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
  let door: TlsDoor | undefined;
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
        metricsPort: door?.port,
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
  const registry = stack.use(
    openRegistry({
      ...{ images, peers, clock },
      review: async (token, { verb, repository }, late) => {
        const { reviewToken } = await import("../client/token-review.ts");
        const namespace = repository.includes("/") ? repository.split("/", 1)[0] : undefined;
        const wanted = {
          ...{ verb, group: "naru.dev", resource: "images", name: repository },
          ...(namespace === undefined ? {} : { namespace }),
        };
        const api = { server: options.server, authorityPem: identity.authorityPem };
        const bearer = await reviewToken(api, token, { wanted, signal: AbortSignal.any([signal, late]) });
        return bearer && { caller: { name: bearer.name, groups: bearer.groups }, allowed: bearer.allowed };
      },
    }),
  );
  const imageServer = openImageServer(images.door);
  const measured = { agent: () => agent, runtime, machine, now: () => clock.now() };
  door = await openTlsDoor({
    ...{ host: nodeIp, port: options.metricsPort ?? 10250, identity, strangers: "refused" },
    handle: nodeDoor({
      images: (request, response) => imageServer(request, response) || registry.handle(request, response),
      pages: {
        "/metrics/cadvisor": async () => (await import("./kubelet-pages.ts")).cadvisorPage(measured),
        "/metrics/resource": async () => (await import("./kubelet-pages.ts")).resourcePage(measured),
      },
      metrics: async () => {
        const { openMetrics } = await import("./metrics.ts");
        return openMetrics({
          ...measured,
          version,
          readLoad: () => readLoad(dataDir),
          pressure: () => pressure.counts,
        });
      },
    }),
  }).catch((error) => {
    log.warn({ error: messageOf(error) }, "no metrics: their port cannot be opened");
    return undefined;
  });
  if (door !== undefined) stack.use(door);
  const registryDoor = await openTlsDoor({
    ...{ host: nodeIp, port: registryPort, identity, strangers: "admitted" },
    handle: (request, response) => {
      if (!registry.handle(request, response)) response.writeHead(404).end("the registry is at /v2/\n");
    },
  }).catch((error) => {
    log.warn({ error: messageOf(error) }, "the cluster's registry is not to be had here: its port cannot be opened");
    return undefined;
  });
  if (registryDoor !== undefined) stack.use(registryDoor);

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
        door?.setIdentity(renewed);
        registryDoor?.setIdentity(renewed);
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
