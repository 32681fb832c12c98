// Other nodes' part of the registry: a repository has one home, which takes and gives everything of it, and every node keeps its own names.

import type { IncomingMessage } from "node:http";
import { Agent, request as httpsRequest, type RequestOptions } from "node:https";
import { pipeline } from "node:stream/promises";
import { type ClusterPeers, othersFor, ownerOf, type PeerNode } from "../images/cluster-peers.ts";
import { homeName } from "../images/peer-registries.ts";
import type { Caller } from "./access.ts";
import { RegistryError } from "./errors.ts";
import type { Exchange } from "./push.ts";

/** For whom a node asks another: base64 of a JSON Caller. Believed of nodes alone. */
export const callerHeader = "naru-registry-caller";
const agentHost = "naru-agent";
const answerMsMax = 5_000;
const answerBytesMax = 16 * 1024 * 1024;
/** A node that is gone does not say so: its reads are answered without it then. */
const connectMsMax = 5_000;
/** Whoever is asked may have to fetch a large image first. */
const silenceMsMax = 15 * 60_000;
/** What ends with a connection, and what is not for the other node. */
const ownHeaders = [
  "authorization",
  "connection",
  "keep-alive",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "host",
];

export class RegistryPeers implements Disposable {
  readonly #peers: ClusterPeers;
  readonly #connectMsMax: number;
  #agent: { readonly cert: string; readonly agent: Agent } | undefined;

  constructor(peers: ClusterPeers, limits: { readonly connectMsMax?: number } = {}) {
    this.#peers = peers;
    this.#connectMsMax = limits.connectMsMax ?? connectMsMax;
  }

  /** Undefined when it is this node. */
  homeOf(repository: string): PeerNode | undefined {
    return ownerOf(homeName(repository), this.#peers);
  }

  /** Passes a request on as it comes, and the answer back. Rejects with RegistryError when the node does not answer. */
  async forward(node: PeerNode, { request, response, caller }: Exchange): Promise<void> {
    const headers = Object.fromEntries(Object.entries(request.headers).filter(([name]) => !ownHeaders.includes(name)));
    const hasBody =
      request.headers["transfer-encoding"] !== undefined || request.headers["content-length"] !== undefined;
    const sent = this.#request(node, request.url ?? "", {
      method: request.method ?? "GET",
      headers: { ...headers, [callerHeader]: encodeCaller(caller) },
    });
    const answered = new Promise<IncomingMessage>((resolve, reject) => {
      sent.once("response", resolve);
      sent.once("error", (cause) =>
        reject(
          new RegistryError(503, "UNAVAILABLE", `node ${node.name}, the home of this repository, does not answer`, {
            cause,
          }),
        ),
      );
    });
    response.once("close", () => sent.destroy());
    // The answer tells more than what a broken body does.
    if (hasBody) pipeline(request, sent).catch(() => {});
    else sent.end();
    const answer = await answered;
    const { connection: _, "keep-alive": __, "transfer-encoding": ___, ...kept } = answer.headers;
    response.writeHead(answer.statusCode ?? 502, { ...kept, ...(request.complete ? {} : { connection: "close" }) });
    await pipeline(answer, response);
  }

  /** What others say at a path, of those that answer. */
  async gather(path: string, caller: Caller): Promise<readonly unknown[]> {
    const answers = await Promise.all(
      othersFor(path, this.#peers).map((node) => this.#json(node, path, caller).catch(() => undefined)),
    );
    return answers.filter((answer) => answer !== undefined);
  }

  [Symbol.dispose](): void {
    this.#agent?.agent.destroy();
  }

  async #json(node: PeerNode, path: string, caller: Caller): Promise<unknown> {
    const signal = AbortSignal.timeout(answerMsMax);
    const sent = this.#request(node, path, {
      method: "GET",
      headers: { [callerHeader]: encodeCaller(caller) },
      signal,
    });
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      sent.once("response", resolve);
      sent.once("error", reject);
      sent.end();
    });
    const parts: Buffer[] = [];
    let bytes = 0;
    for await (const part of answer as AsyncIterable<Buffer>) {
      bytes += part.length;
      if (bytes > answerBytesMax) throw new Error(`node ${node.name} says more than ${answerBytesMax} bytes`);
      parts.push(part);
    }
    return answer.statusCode === 200 ? JSON.parse(Buffer.concat(parts).toString()) : undefined;
  }

  #request(node: PeerNode, path: string, options: RequestOptions) {
    const { cert, key, ca } = this.#peers.tls();
    // A renewed certificate comes with connections of its own.
    if (this.#agent?.cert !== cert) {
      this.#agent?.agent.destroy();
      this.#agent = { cert, agent: new Agent({ keepAlive: true, cert, key, ca, servername: agentHost }) };
    }
    const { agent } = this.#agent;
    const limits = { agent, servername: agentHost, timeout: this.#connectMsMax };
    const sent = httpsRequest(new URL(path, node.url), { ...options, ...limits });
    sent.on("timeout", () => sent.destroy(new Error(`node ${node.name} is silent`)));
    sent.once("socket", (socket) => {
      if (socket.connecting) socket.once("secureConnect", () => sent.setTimeout(silenceMsMax));
      else sent.setTimeout(silenceMsMax);
    });
    return sent;
  }
}

export function encodeCaller(caller: Caller): string {
  return Buffer.from(JSON.stringify(caller)).toString("base64");
}

export function decodeCaller(header: string): Caller {
  const { name, groups } = JSON.parse(Buffer.from(header, "base64").toString()) as Caller;
  return { name: String(name), groups: Array.isArray(groups) ? groups.map(String) : [] };
}
