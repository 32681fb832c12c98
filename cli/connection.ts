// The cluster that a command talks to.
import { createPrivateKey, X509Certificate } from "node:crypto";
import { existsSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { homedir } from "node:os";
import { join } from "node:path";
import { type Connection as KubeconfigConnection, readKubeconfig } from "../client/kubeconfig.ts";
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
  /** The answer as it comes, until the command is interrupted; refuses with ApiError for everything but success. */
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
    // Empty counts as unset, as with kubectl.
    (process.env["KUBECONFIG"] || undefined) ??
    [defaultKubeconfig, join(homedir(), ".kube/config")].find((file) => existsSync(file));
  if (path === undefined)
    throw new Error("no cluster to talk to: start one with `naru up`, or name one with --kubeconfig FILE");
  return connectWith(path, invocation.signal);
}

export async function connectWith(kubeconfigPath: string, signal?: AbortSignal): Promise<Connection> {
  const transport = httpsTransport(usable(await readKubeconfig(kubeconfigPath), kubeconfigPath));
  const warn = (message: string) => console.error(`${yellow("Warning:")} ${message}`);
  const ends = signal === undefined ? {} : { signal };
  return {
    namespace: transport.connection.namespace,
    transport,
    open: (method, path, options = {}) => transport.stream({ method, path, warn, ...ends, ...options }),
    // The caller names the type that the path answers with.
    send: async <T>(method: HttpRequest["method"], path: string, options: RequestOptions = {}) =>
      (await transport.json({ method, path, warn, ...options })) as T,
    close: () => transport[Symbol.dispose](),
  };
}

/** Refuses certificates and keys that cannot be read before a connection fails with OpenSSL's words. */
function usable(connection: KubeconfigConnection, path: string): KubeconfigConnection {
  const { authorityPem, certificatePem, keyPem } = connection;
  const parts = [
    ["certificate-authority", () => authorityPem === undefined || new X509Certificate(authorityPem)],
    ["client-certificate", () => certificatePem === undefined || new X509Certificate(certificatePem)],
    ["client-key", () => keyPem === undefined || createPrivateKey(keyPem)],
  ] as const;
  for (const [name, read] of parts) {
    try {
      read();
    } catch (cause) {
      throw new Error(`kubeconfig ${path}: its ${name} is not PEM that can be read`, { cause });
    }
  }
  return connection;
}
