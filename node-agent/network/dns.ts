// The node's DNS server: the cluster's names for pods, on the node's own addresses.
import type { Logger } from "../../lib/log.ts";
import { type AnswerContext, answerQuery } from "./dns-answer.ts";
import { DnsSockets } from "./dns-sockets.ts";

export interface DnsServerOptions extends AnswerContext {
  readonly log: Logger;
  readonly port?: number;
}

export class DnsServer {
  readonly #sockets: DnsSockets;

  constructor({ log, port, ...context }: DnsServerOptions) {
    const answer = (query: Buffer, _asker: string, transport: "udp" | "tcp") => answerQuery(context, query, transport);
    this.#sockets = new DnsSockets({ answer, log, port });
  }

  /** Listens on these addresses and on no others; rejects when one cannot be had, and keeps the rest. */
  async listen(addresses: readonly string[]): Promise<void> {
    for (const address of this.#sockets.addresses) if (!addresses.includes(address)) await this.#sockets.close(address);
    for (const address of addresses) await this.#sockets.open(address);
  }

  async close(): Promise<void> {
    await this.#sockets.closeAll();
  }
}
