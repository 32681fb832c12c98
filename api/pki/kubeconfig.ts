// Writes a kubeconfig: where the server is, whom to trust, and as whom to come.
import type { KeyPair } from "../../lib/certificate.ts";

export interface KubeconfigOptions {
  /** "https://127.0.0.1:6443" */
  readonly server: string;
  readonly authorityPem: string;
  readonly user: string;
  readonly client: KeyPair;
  readonly namespace?: string;
}

/** The file's text. It holds a private key: write it with mode 0600. */
export function kubeconfig({ server, authorityPem, user, client, namespace }: KubeconfigOptions): string {
  // By hand: what writes any YAML takes 4 MB of a server's memory. JSON's strings are YAML's, too.
  const text = JSON.stringify;
  return `apiVersion: v1
kind: Config
current-context: naru
clusters:
  - name: naru
    cluster:
      server: ${text(server)}
      certificate-authority-data: ${base64(authorityPem)}
users:
  - name: ${text(user)}
    user:
      client-certificate-data: ${base64(client.certificatePem)}
      client-key-data: ${base64(client.keyPem)}
contexts:
  - name: naru
    context:
      cluster: naru
      user: ${text(user)}
${namespace === undefined ? "" : `      namespace: ${text(namespace)}\n`}`;
}

function base64(text: string): string {
  return Buffer.from(text).toString("base64");
}
