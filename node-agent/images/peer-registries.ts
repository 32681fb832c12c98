// The cluster's other nodes as registries to pull from.
import { type ClusterPeers, othersFor, ownerOf, type PeerNode } from "./cluster-peers.ts";
import { drop } from "./http.ts";
import type { RegistryCredentials } from "./images.ts";
import { manifestMediaTypes } from "./manifest.ts";
import { clusterRegistry, formatReference, type Reference } from "./reference.ts";
import { Registry, type RegistryOptions } from "./registry.ts";

/** Whom the fetching node is to be outside: base64 of JSON [{username, password}]. Goes to nodes of the cluster alone. */
export const credentialsHeader = "naru-registry-credentials";
/** Since when a node has what it gives, ms since the epoch: two images may get one name within a second. */
export const sinceHeader = "naru-image-since";
const searchMsMax = 5_000;

/** What the home of a repository follows from (ownerOf). */
export function homeName(repository: string): string {
  return `${clusterRegistry}/${repository}`;
}

export class PeerRegistries {
  readonly #peers: ClusterPeers;
  readonly #options: Pick<RegistryOptions, "http" | "clock" | "random">;

  constructor(peers: ClusterPeers, options: Pick<RegistryOptions, "http" | "clock" | "random">) {
    this.#peers = peers;
    this.#options = options;
  }

  /** The node that fetches this image for all; undefined when that is this one. */
  owner(reference: Reference, credentials: readonly RegistryCredentials[]): Registry | undefined {
    const owner = ownerOf(`${reference.registry}/${reference.repository}`, this.#peers);
    if (owner === undefined) return undefined;
    const header = Buffer.from(JSON.stringify(credentials)).toString("base64");
    return this.#open(
      owner,
      `images/${encodeURIComponent(reference.registry)}/`,
      credentials.length === 0 ? {} : { [credentialsHeader]: header },
    );
  }

  /** Where the cluster keeps what is pushed to it, this node perhaps; undefined while none is ready. */
  home(reference: Reference): Registry | undefined {
    const { nodeName, nodes } = this.#peers;
    const node = ownerOf(homeName(reference.repository), this.#peers) ?? nodes().find(({ name }) => name === nodeName);
    return node && this.#open(node, "", {});
  }

  /** The node that has had the image since last, of those that have it. */
  async find(
    reference: Reference,
    signal: AbortSignal,
  ): Promise<{ readonly registry: Registry; readonly sinceMs: number } | undefined> {
    const either = AbortSignal.any([signal, AbortSignal.timeout(searchMsMax)]);
    const accept = manifestMediaTypes.join(", ");
    const path = `manifests/${reference.digest ?? reference.tag ?? "latest"}`;
    const found = await Promise.all(
      othersFor(formatReference(reference), this.#peers).map(async (node) => {
        const registry = this.#open(node, `images-here/${encodeURIComponent(reference.registry)}/`, {});
        const access = { repository: reference.repository, credentials: undefined };
        try {
          const response = await registry.ask(access, { method: "HEAD", path, headers: { accept } }, either);
          drop(response);
          return response.status === 200 ? [{ registry, sinceMs: Number(response.headers[sinceHeader]) || 0 }] : [];
        } catch {
          return [];
        }
      }),
    );
    signal.throwIfAborted();
    return found.flat().sort((a, b) => b.sinceMs - a.sinceMs)[0];
  }

  #open(node: PeerNode, path: string, headers: Readonly<Record<string, string>>): Registry {
    return new Registry({
      ...this.#options,
      host: new URL(path, node.url).href,
      shownHost: `node ${node.name}`,
      settings: {},
      client: { tls: this.#peers.tls(), headers },
    });
  }
}
