// Tokens asked for over HTTPS, by kubectl and by nodes, and what they are good for.
import assert from "node:assert/strict";
import { test } from "node:test";
import { httpsTransport } from "../../client/transport.ts";
import { openTestServer, type TestServer } from "../../test/api.ts";
import { issueClient } from "../pki/pki.ts";

const podOf = (name: string) => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name },
  spec: { nodeName: "n1", containers: [{ name: "c", image: "i" }] },
});

async function nodeTransport(server: TestServer, node: string) {
  const subject = { commonName: `system:node:${node}`, organizations: ["system:nodes"] };
  const { certificatePem, keyPem } = await issueClient(server.pki.authority, Date.now(), subject);
  return httpsTransport({ ...server.connection, certificatePem, keyPem });
}

test("requestToken gives nodes tokens for the pods that they run, and for nothing else", async () => {
  await using server = await openTestServer();
  using admin = httpsTransport(server.connection);
  using own = await nodeTransport(server, "n1");
  using other = await nodeTransport(server, "n2");
  const path = "/api/v1/namespaces/default/serviceaccounts/default/token";
  const pod = (await admin.json({ method: "POST", path: "/api/v1/namespaces/default/pods", body: podOf("web") })) as {
    readonly metadata: { readonly uid: string };
  };
  const ask = (transport: typeof admin, spec: object) =>
    transport.json({ method: "POST", path, body: { spec } }) as Promise<{
      readonly status: { readonly token: string };
    }>;
  const boundObjectRef = { kind: "Pod", apiVersion: "v1", name: "web", uid: pod.metadata.uid };
  const { status } = await ask(own, { boundObjectRef });
  const { certificatePem: _c, keyPem: _k, ...strangers } = server.connection;
  using pods = httpsTransport({ ...strangers, token: status.token });
  using liars = httpsTransport({ ...strangers, token: "a.b.c" });
  const whoAmI = { method: "POST", path: "/apis/authentication.k8s.io/v1/selfsubjectreviews", body: {} } as const;
  const review = (await pods.json(whoAmI)) as {
    readonly status: { readonly userInfo: { readonly username: string } };
  };
  assert.equal(review.status.userInfo.username, "system:serviceaccount:default:default");
  await assert.rejects(liars.json(whoAmI), { code: 401 });
  const secrets = { method: "GET", path: "/api/v1/namespaces/default/secrets" } as const;
  await assert.rejects(pods.json(secrets), { code: 403, message: /system:serviceaccount:default:default/ });
  await assert.rejects(ask(own, {}), { code: 403 });
  await assert.rejects(ask(other, { boundObjectRef }), { code: 403 });
  await assert.rejects(ask(admin, { boundObjectRef: { ...boundObjectRef, uid: "x" } }), { code: 409 });
  await assert.rejects(ask(admin, { expirationSeconds: 5 }), { code: 422 });
  const annotations = { "kubernetes.io/config.mirror": "hash" };
  const mirror = { ...podOf("own"), metadata: { name: "own", annotations } };
  await admin.json({ method: "POST", path: "/api/v1/namespaces/default/pods", body: mirror });
  const message = /mirrors of its own static pods/;
  await assert.rejects(ask(own, { boundObjectRef: { ...boundObjectRef, name: "own", uid: undefined } }), {
    code: 403,
    message,
  });
});
