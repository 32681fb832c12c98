// Writes a kubeconfig: where the server is, whom to trust, and as whom to come.
import { stringify } from "yaml";
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
  return stringify({
    apiVersion: "v1",
    kind: "Config",
    "current-context": "naru",
    clusters: [{ name: "naru", cluster: { server, "certificate-authority-data": base64(authorityPem) } }],
    users: [
      {
        name: user,
        user: {
          "client-certificate-data": base64(client.certificatePem),
          "client-key-data": base64(client.keyPem),
        },
      },
    ],
    contexts: [{ name: "naru", context: { cluster: "naru", user, ...(namespace === undefined ? {} : { namespace }) } }],
  });
}

function base64(text: string): string {
  return Buffer.from(text).toString("base64");
}
