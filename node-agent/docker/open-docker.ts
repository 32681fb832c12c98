// The docker door: Docker's Engine API on this node's runtime, images, networks and volumes. Its containers live beside pods and are
// never the cluster's.
import { createHash } from "node:crypto";
import { mkdirSync } from "node:fs";
import type { Server } from "node:http";
import type { Socket } from "node:net";
import { join } from "node:path";
import type { SecureContextOptions } from "node:tls";
import type { Clock } from "../../lib/clock.ts";
import type { Logger } from "../../lib/log.ts";
import type { Random } from "../../lib/random.ts";
import { openBuilder } from "../build/builder.ts";
import type { ImageLibrary } from "../images/library.ts";
import type { Launcher } from "../network/netlink.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { Containers } from "./containers/containers.ts";
import { ContainerStore } from "./containers/store.ts";
import type { Door } from "./door.ts";
import { buildRoutes } from "./endpoints/build.ts";
import { buildkitRoutes } from "./endpoints/buildkit.ts";
import { containerRoutes } from "./endpoints/containers.ts";
import { dialRoutes } from "./endpoints/dial.ts";
import { execRoutes } from "./endpoints/execs.ts";
import { fileRoutes } from "./endpoints/files.ts";
import { imageTransferRoutes } from "./endpoints/image-transfer.ts";
import { imageRoutes } from "./endpoints/images.ts";
import { measureRoutes } from "./endpoints/measures.ts";
import { networkRoutes } from "./endpoints/networks.ts";
import { pluginRoutes } from "./endpoints/plugins.ts";
import { registryRoutes } from "./endpoints/registries.ts";
import { streamRoutes } from "./endpoints/streams.ts";
import { swarmRoutes } from "./endpoints/swarm.ts";
import { systemRoutes } from "./endpoints/system.ts";
import { volumeRoutes } from "./endpoints/volumes.ts";
import { Events } from "./events.ts";
import { refuseStrangers } from "./http/administrators.ts";
import { openRouter } from "./http/router.ts";
import { apiVersion, openHttpServer } from "./http/server.ts";
import { buildNetwork } from "./networks/build-network.ts";
import { Networks } from "./networks/networks.ts";
import { Volumes } from "./volumes/volumes.ts";

export interface DockerOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly runtime: Runtime;
  readonly images: ImageLibrary;
  readonly launcher: Launcher;
  readonly nft: string;
  /** Records of containers, networks, volumes with their content. */
  readonly dataDir: string;
  readonly runDir: string;
  /** Ranges that the cluster uses. */
  readonly reserved: readonly string[];
  readonly nodeIp: string;
  readonly version: string;
  readonly cgroupVersion: 1 | 2;
  readonly insecureRegistries: readonly string[];
  readonly initPath: string;
  /** Also over TCP, for administrators of the cluster. */
  readonly listen: { readonly host: string; readonly port: number; readonly tls: SecureContextOptions } | undefined;
}

export interface Docker extends AsyncDisposable {
  readonly containers: Containers;
  /** Serves a connection that somebody else listened for, and closes. */
  readonly accept: (socket: Socket) => void;
  /** The certificate of the door over TCP was renewed. */
  setTls(tls: SecureContextOptions): void;
  /** Ends its containers and takes everything of it out of the kernel; records, volumes and files stay. */
  tearDown(): Promise<void>;
}

export async function openDocker(options: DockerOptions): Promise<Docker> {
  const { clock, random, log, runtime, images, dataDir, runDir, version } = options;
  for (const path of [dataDir, runDir]) mkdirSync(path, { recursive: true, mode: 0o711 });
  const store = ContainerStore.open(join(dataDir, "containers"), log);
  const inUse = () => store.list();
  const identity = createHash("sha256").update(dataDir).digest("hex");
  const networks = await Networks.open({
    ...options,
    dir: dataDir,
    runDir,
    prefix: `nd${identity.slice(0, 5)}`,
    containers: inUse,
  });
  const volumes = new Volumes({ dir: join(dataDir, "volumes"), clock, random, containers: inUse });
  const events = new Events(clock);
  const { initPath, nodeIp, cgroupVersion, insecureRegistries } = options;
  const containers = new Containers({
    clock,
    random,
    log,
    runtime,
    images,
    networks,
    volumes,
    events,
    store,
    initPath,
    nodeIp,
    cgroupVersion,
  });
  const machine = { id: identity.slice(0, 32), version, dataDir, cgroupVersion, insecureRegistries };
  const heard = images.onEvent(({ action, id, name }) => events.emit("image", action, id, { name: name ?? id }));
  const builder = await openBuilder({ images, runtime, clock, network: buildNetwork(networks) });
  const door: Door = { parts: containers.parts, containers, builder, machine };
  await networks.adopt();
  await containers.life.adopt();
  await dropLeftLayers(images, store);

  const http = {
    router: openRouter([
      ...systemRoutes(door),
      ...containerRoutes(door),
      ...streamRoutes(door),
      ...execRoutes(door),
      ...networkRoutes(door),
      ...volumeRoutes(door),
      ...measureRoutes(door),
      ...fileRoutes(door),
      ...buildRoutes(door),
      ...buildkitRoutes(),
      ...registryRoutes(door),
      ...imageTransferRoutes(door),
      ...imageRoutes(door),
      ...pluginRoutes(),
      ...dialRoutes(),
      ...swarmRoutes(),
    ]),
    log,
    serverName: `Naru/${version} (linux)`,
    headers: {
      "Api-Version": `1.${apiVersion.most}`,
      "Docker-Experimental": "false",
      Ostype: "linux",
      // Builds are asked for by the build endpoint, not over a session of BuildKit's.
      "Builder-Version": "1",
    },
  };
  const local = openHttpServer(http);
  const tcp =
    options.listen === undefined ? undefined : openHttpServer({ ...http, refuse: refuseStrangers }, options.listen.tls);
  if (tcp !== undefined && options.listen !== undefined) await listenOn(tcp, options.listen);
  const close = async () => {
    if (tcp !== undefined) await closeServer(tcp);
    heard[Symbol.dispose]();
    containers.life.close();
    await networks.close();
  };
  return {
    containers,
    accept: (socket) => local.emit("connection", socket),
    setTls: (tls) => {
      if (tcp !== undefined && "setSecureContext" in tcp) tcp.setSecureContext(tls);
    },
    tearDown: async () => {
      if (tcp !== undefined) await closeServer(tcp);
      await containers.stopAll();
      for (const { id } of containers.list()) await runtime.remove(id);
      await networks.tearDown();
    },
    [Symbol.asyncDispose]: close,
  };
}

// Made for a container whose making was cut off, or left by one whose removal was.
async function dropLeftLayers(images: ImageLibrary, store: ContainerStore): Promise<void> {
  for (const { containerId } of await images.listLayers())
    if (/^[0-9a-f]{64}$/.test(containerId) && store.get(containerId) === undefined)
      await images.removeLayer(containerId);
}

async function listenOn(
  server: Server,
  { host, port }: { readonly host: string; readonly port: number },
): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause) => reject(new Error(`serve Docker's API on ${host} port ${port}`, { cause })));
    server.listen(port, host, () => resolve());
  });
}

async function closeServer(server: Server): Promise<void> {
  server.closeAllConnections();
  await new Promise<void>((resolve) => void server.close(() => resolve()));
}
