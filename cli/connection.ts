// The cluster that a command talks to.
import { existsSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { homedir } from "node:os";
import { join } from "node:path";
import { readKubeconfig } from "../client/kubeconfig.ts";
import { type HttpRequest, httpsTransport, type Transport } from "../client/transport.ts";
import type { Invocation } from "./command.ts";
import { yellow } from "./terminal.ts";

export interface RequestOptions {
  /** Of the answer, such as a Table; JSON when absent. */
  readonly accept?: string;
  /** Of the body. */
  readonly type?: string;
  readonly body?: unknown;
  /** Sent as it is instead of `body`. */
  readonly input?: AsyncIterable<Uint8Array>;
  readonly signal?: AbortSignal;
}

export interface Connection {
  readonly namespace: string;
  readonly transport: Transport;
  /** The answer as it comes; refuses with ApiError for everything but success. */
  open(method: HttpRequest["method"], path: string, options?: RequestOptions): Promise<IncomingMessage>;
  /** The answer's JSON. Warnings of the server go to standard error. */
  send<T>(method: HttpRequest["method"], path: string, options?: RequestOptions): Promise<T>;
  close(): void;
}

/** Where `naru up` and `naru server` leave the kubeconfig by default. */
const defaultKubeconfig = "/var/lib/naru/kubeconfig";

export async function connect(invocation: Invocation): Promise<Connection> {
  const path =
    invocation.text("kubeconfig") ??
    process.env["KUBECONFIG"] ??
    [defaultKubeconfig, join(homedir(), ".kube/config")].find((file) => existsSync(file));
  if (path === undefined)
    throw new Error("no cluster to talk to: start one with `naru up`, or name one with --kubeconfig FILE");
  return connectWith(path);
}

export async function connectWith(kubeconfigPath: string): Promise<Connection> {
  const transport = httpsTransport(await readKubeconfig(kubeconfigPath));
  const warn = (message: string) => console.error(`${yellow("Warning:")} ${message}`);
  return {
    namespace: transport.connection.namespace,
    transport,
    open: (method, path, options = {}) => transport.stream({ method, path, warn, ...options }),
    // The caller names the type that the path answers with.
    send: async <T>(method: HttpRequest["method"], path: string, options: RequestOptions = {}) =>
      (await transport.json({ method, path, warn, ...options })) as T,
    close: () => transport[Symbol.dispose](),
  };
}
