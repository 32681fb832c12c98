// The node's two doors over TLS: one for clients of the cluster and for other nodes, one for the registry, whose clients may be strangers.
import type { NodeIdentity } from "../client/join.ts";
import type { Clock } from "../lib/clock.ts";
import type { Logger } from "../lib/log.ts";
import type { AgentOptions } from "./agent-options.ts";
import { openImageServer } from "./image-server.ts";
import type { ClusterPeers } from "./images/cluster-peers.ts";
import type { OpenedImages } from "./images/open-images.ts";
import { type NodeDoorOptions, nodeDoor } from "./node-door.ts";
import { messageOf } from "./pods/start-problem.ts";
import type { ReviewToken } from "./registry/access.ts";
import { openRegistry, registryPort } from "./registry/registry.ts";
import { openTlsDoor, type TlsDoor } from "./tls-door.ts";

export interface NodeDoors extends AsyncDisposable {
  /** Of the first one; undefined when its port could not be opened. */
  readonly metricsPort: number | undefined;
  /** After a renewal. */
  setIdentity(identity: NodeIdentity): void;
}

const metricsPortDefault = 10250;

export async function openNodeDoors(
  parts: {
    readonly clock: Clock;
    readonly log: Logger;
    readonly options: Pick<AgentOptions, "server" | "metricsPort">;
    readonly nodeIp: string;
    readonly images: OpenedImages;
    readonly peers: ClusterPeers;
    readonly identity: () => NodeIdentity;
    readonly metrics: NodeDoorOptions["metrics"];
    readonly pages: NodeDoorOptions["pages"];
  },
  signal: AbortSignal,
): Promise<NodeDoors> {
  const { clock, log, options, nodeIp, images, peers, metrics, pages } = parts;
  const identity = parts.identity();
  await using stack = new AsyncDisposableStack();
  const review = tokenReview({ server: options.server, authorityPem: identity.authorityPem }, signal);
  const registry = stack.use(openRegistry({ images, peers, clock, review }));
  const imageServer = openImageServer(images.door);
  const opened = async (door: Promise<TlsDoor>, lack: string): Promise<TlsDoor | undefined> => {
    try {
      return stack.use(await door);
    } catch (error) {
      log.warn({ error: messageOf(error) }, lack);
      return undefined;
    }
  };
  const own = await opened(
    openTlsDoor({
      ...{ host: nodeIp, port: options.metricsPort ?? metricsPortDefault, identity, strangers: "refused" },
      handle: nodeDoor({
        images: (request, response) => imageServer(request, response) || registry.handle(request, response),
        metrics,
        pages,
      }),
    }),
    "no metrics: their port cannot be opened",
  );
  const ofRegistry = await opened(
    openTlsDoor({
      ...{ host: nodeIp, port: registryPort, identity, strangers: "admitted" },
      handle: (request, response) => {
        if (!registry.handle(request, response)) response.writeHead(404).end("the registry is at /v2/\n");
      },
    }),
    "the cluster's registry is not to be had here: its port cannot be opened",
  );
  const all = stack.move();
  return {
    metricsPort: own?.port,
    setIdentity: (next) => {
      own?.setIdentity(next);
      ofRegistry?.setIdentity(next);
    },
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

/** What the API says of those who come to the registry with a token. */
function tokenReview(
  api: { readonly server: string; readonly authorityPem: string },
  signal: AbortSignal,
): ReviewToken {
  return async (token, { verb, repository }, late) => {
    const { reviewToken } = await import("../client/token-review.ts");
    const namespace = repository.includes("/") ? repository.split("/", 1)[0] : undefined;
    const wanted = {
      ...{ verb, group: "naru.dev", resource: "images", name: repository },
      ...(namespace === undefined ? {} : { namespace }),
    };
    const bearer = await reviewToken(api, token, { wanted, signal: AbortSignal.any([signal, late]) });
    return bearer && { caller: { name: bearer.name, groups: bearer.groups }, allowed: bearer.allowed };
  };
}
