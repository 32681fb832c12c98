// Real kubectls, Debian's old one and the newest, against the API without any node.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { openTestServer } from "../../test/api.ts";
import { newKubectl, oldKubectl } from "../../test/kubectl.ts";
import { servedResources } from "./request-info.ts";

const run = promisify(execFile);

const manifest = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: c, image: hello, ports: [{containerPort: 80}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: NodePort, clusterIP: 10.96.7.7, selector: {app: web}, ports: [{port: 80, nodePort: 30123}]}
`;

type Kubectl = (...args: readonly string[]) => Promise<string>;

async function withKubectl(program: string, check: (kubectl: Kubectl, file: string) => Promise<void>): Promise<void> {
  await using server = await openTestServer();
  const home = await mkdtemp(join(tmpdir(), "naru-kubectl-"));
  const file = join(home, "web.yaml");
  await writeFile(file, manifest);
  const env = { ...process.env, HOME: home, KUBECONFIG: server.kubeconfigPath };
  const kubectl: Kubectl = async (...args) => {
    try {
      const { stdout, stderr } = await run(program, args, { env, timeout: 60_000 });
      return (stdout + stderr).trim();
    } catch (error) {
      // A refusal is an answer too: its words are what is tested.
      const { stdout = "", stderr = "" } = error as { stdout?: string; stderr?: string };
      return (stdout + stderr).trim();
    }
  };
  try {
    await check(kubectl, file);
  } finally {
    await rm(home, { recursive: true });
  }
}

for (const [name, find] of [
  ["kubectl 1.20", oldKubectl],
  ["kubectl 1.36", newKubectl],
] as const) {
  test(`${name} finds out what the server serves`, async () =>
    withKubectl(await find(), async (kubectl) => {
      const resources = (await kubectl("api-resources", "--no-headers"))
        .split("\n")
        .map((line) => line.split(/\s+/)[0]);
      assert.deepEqual(resources.toSorted(), servedResources.map(({ resource }) => resource).toSorted());
      assert.match(await kubectl("version"), /v1\.36\.0\+naru/);
      const explained = await kubectl("explain", "deployment.spec.strategy");
      assert.match(explained, /rollingUpdate/);
      assert.match(explained, /How old pods are replaced by new ones\./);
      assert.equal(await kubectl("auth", "can-i", "delete", "pods"), "yes");
      assert.equal((await kubectl("auth", "can-i", "delete", "pods", "--as", "bob")).split("\n").at(-1), "no");
      assert.match(await kubectl("auth", "can-i", "--list", "-n", "default"), /\*\.\*\s+\[\]\s+\[\]\s+\[\*\]/);
    }));

  test(`${name} applies, reads, changes and deletes`, async () =>
    withKubectl(await find(), async (kubectl, file) => {
      assert.equal(await kubectl("apply", "-f", file), "deployment.apps/web created\nservice/web created");
      assert.equal(await kubectl("apply", "-f", file), "deployment.apps/web unchanged\nservice/web unchanged");
      assert.match(
        await kubectl("get", "deploy", "web"),
        /^NAME\s+READY\s+UP-TO-DATE\s+AVAILABLE\s+AGE\nweb\s+0\/2\s+0\s+0/,
      );
      assert.match(
        await kubectl("get", "svc", "web", "-o", "wide"),
        /web\s+NodePort\s+10\.96\.7\.7\s+<none>\s+80:30123\/TCP\s+\S+\s+app=web/,
      );
      assert.equal(await kubectl("label", "deploy", "web", "tier=front"), "deployment.apps/web labeled");
      assert.equal(await kubectl("get", "deploy", "-l", "tier=front", "-o", "name"), "deployment.apps/web");
      assert.equal(await kubectl("scale", "deploy", "web", "--replicas=3"), "deployment.apps/web scaled");
      assert.equal(await kubectl("set", "image", "deploy/web", "c=other"), "deployment.apps/web image updated");
      assert.equal(
        await kubectl(
          "get",
          "deploy",
          "web",
          "-o",
          "jsonpath={.spec.replicas} {.spec.template.spec.containers[0].image}",
        ),
        "3 other",
      );
      assert.match(await kubectl("describe", "deploy", "web"), /Replicas:\s+3 desired/);
      assert.match(await kubectl("delete", "-f", file), /deployment.apps "web" deleted/);
      assert.match(await kubectl("get", "deploy"), /^No resources found/);
    }));

  test(`${name} creates by command`, async () =>
    withKubectl(await find(), async (kubectl) => {
      assert.deepEqual(
        [
          await kubectl("create", "namespace", "team"),
          await kubectl("create", "configmap", "cm", "--from-literal=a=b", "-n", "team"),
          await kubectl("create", "secret", "generic", "s", "--from-literal=k=v", "-n", "team"),
          await kubectl("create", "deployment", "d", "--image=hello", "-n", "team"),
          await kubectl("create", "configmap", "cm", "-n", "nowhere"),
          await kubectl("get", "secret", "s", "-n", "team", "-o", "jsonpath={.data.k}"),
          await kubectl("run", "p", "--image=hello", "-n", "team"),
          await kubectl("get", "pod", "p", "-n", "team", "--no-headers", "-o", "custom-columns=P:.status.phase"),
        ],
        [
          "namespace/team created",
          "configmap/cm created",
          "secret/s created",
          "deployment.apps/d created",
          name === "kubectl 1.20"
            ? 'Error from server (NotFound): namespaces "nowhere" not found'
            : 'error: failed to create configmap: namespaces "nowhere" not found',
          "dg==",
          "pod/p created",
          "Pending",
        ],
      );
    }));
}

test("kubectl 1.36 says which kind the server does not have", async () =>
  withKubectl(await newKubectl(), async (kubectl, file) => {
    await writeFile(file, "{apiVersion: apps/v9, kind: Sprocket, metadata: {name: a}}");
    assert.match(await kubectl("apply", "-f", file), /no matches for kind "Sprocket" in version "apps\/v9"/);
    assert.equal(
      await kubectl("create", "quota", "q", "--hard=pods=3"),
      "error: failed to create quota: the server could not find the requested resource: this cluster serves no resourcequotas in v1",
    );
  }));

test("kubectl 1.36 warns of unknown fields and applies on the server side", async () =>
  withKubectl(await newKubectl(), async (kubectl, file) => {
    await writeFile(file, "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, dada: {x: '1'}}");
    assert.match(await kubectl("apply", "--validate=warn", "-f", file), /unknown field "dada"/);
    assert.match(await kubectl("apply", "--validate=strict", "-f", file), /unknown field "dada"/);
    await writeFile(file, "{apiVersion: v1, kind: ConfigMap, metadata: {name: b}, data: {x: '1'}}");
    assert.equal(await kubectl("apply", "--server-side", "-f", file), "configmap/b serverside-applied");
    assert.equal(await kubectl("apply", "--server-side", "-f", file), "configmap/b serverside-applied");
    assert.match(await kubectl("diff", "-f", file), /^$|^diff/);
    await writeFile(file, "{apiVersion: v1, kind: ConfigMap, metadata: {name: c}, data: {x: '1'}}");
    assert.equal(await kubectl("apply", "-f", file), "configmap/c created");
    await writeFile(file, "{apiVersion: v1, kind: ConfigMap, metadata: {name: c}, data: {x: '2'}}");
    assert.equal(await kubectl("apply", "--server-side", "-f", file), "configmap/c serverside-applied");
  }));
