import { deepEqual } from "node:assert/strict";
import { test } from "node:test";
import { parse } from "yaml";
import { kubeconfig } from "./kubeconfig.ts";

test("kubeconfig is YAML that names server, authority and user, whatever they are called", () => {
  const client = { certificatePem: "-- certificate --", keyPem: "-- key --" };
  const user = 'a "b": #c';
  const text = kubeconfig({
    server: "https://[::1]:6443",
    authorityPem: "-- authority --",
    user,
    client,
    namespace: "on",
  });
  deepEqual(parse(text), {
    apiVersion: "v1",
    kind: "Config",
    "current-context": "naru",
    clusters: [
      {
        name: "naru",
        cluster: { server: "https://[::1]:6443", "certificate-authority-data": btoa("-- authority --") },
      },
    ],
    users: [
      {
        name: user,
        user: { "client-certificate-data": btoa(client.certificatePem), "client-key-data": btoa(client.keyPem) },
      },
    ],
    contexts: [{ name: "naru", context: { cluster: "naru", user, namespace: "on" } }],
  });
});
