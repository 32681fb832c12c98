// What a pod is given to talk to the cluster's API, and what it may do there: kubectl inside of a pod with nothing but the pod's own files.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, before, test } from "node:test";
import type { Container, PodSpec } from "../../api/kinds/generated/types.ts";
import { newKubectl, oldKubectl } from "../kubectl.ts";
import type { TestCluster } from "./cluster.ts";
import { done, until } from "./questions.ts";
import { applyPods, getPod, podOf, shell, startShellCluster, untilConditions } from "./shell-pods.ts";

const own = "/var/run/secrets/kubernetes.io/serviceaccount";
const forever = "sleep 1000";

let cluster: TestCluster;
const kubectl = async (...args: string[]) => done(await cluster.kubectl("new", args));
const inside = async (pod: string, command: string) => {
  const { code, stdout, stderr } = await cluster.kubectl("new", ["exec", pod, "-c", "main", "--", "sh", "-c", command]);
  return code === 0 ? stdout.trim() : `code ${code}: ${stderr.trim()}`;
};

// The machine's kubectl, as a file of the pod: it asks with what it finds in there.
const clientMounts: Partial<Container> = {
  volumeMounts: [
    { name: "old", mountPath: "/bin/kubectl-old", readOnly: true },
    { name: "new", mountPath: "/bin/kubectl-new", readOnly: true },
  ],
};
const clientVolumes = async (): Promise<Partial<PodSpec>> => ({
  volumes: [
    { name: "old", hostPath: { path: await oldKubectl(), type: "File" } },
    { name: "new", hostPath: { path: await newKubectl(), type: "File" } },
  ],
});

before(async () => {
  cluster = await startShellCluster();
  await kubectl("create", "namespace", "other");
  await kubectl("create", "serviceaccount", "quiet");
  await kubectl("patch", "serviceaccount", "quiet", "-p", '{"automountServiceAccountToken":false}');
  await applyPods(
    cluster,
    podOf("client", [shell("main", forever, clientMounts)], await clientVolumes()),
    podOf("plain", [shell("main", forever)], { initContainers: [shell("first", `cat ${own}/namespace`)] }),
    podOf("without", [shell("main", forever)], { automountServiceAccountToken: false }),
    podOf("quiet", [shell("main", forever)], { serviceAccountName: "quiet" }),
    podOf("loud", [shell("main", forever)], { serviceAccountName: "quiet", automountServiceAccountToken: true }),
    podOf(
      "own",
      [shell("main", forever, { volumeMounts: [{ name: "mine", mountPath: own }] }), shell("other", forever)],
      { volumes: [{ name: "mine", emptyDir: {} }] },
    ),
  );
  for (const name of ["client", "plain", "without", "quiet", "loud", "own"])
    await untilConditions(cluster, name, { Ready: "True" });
});
after(() => cluster?.[Symbol.asyncDispose]());

test("a pod has its account's token, the API's authority and its namespace", async () => {
  const { spec } = await getPod(cluster, "plain");
  const volume = spec?.volumes?.[0];
  const mounts = [...(spec?.containers ?? []), ...(spec?.initContainers ?? [])].map(({ volumeMounts }) => volumeMounts);
  assert.deepEqual(
    {
      volume: volume?.name.replace(/-[a-z0-9]{5}$/, "-…"),
      mounts,
      namespace: await inside("plain", `cat ${own}/namespace`),
      init: await kubectl("logs", "plain", "-c", "first"),
      files: await inside("plain", `ls ${own} && touch ${own}/x`),
      authority: `${await inside("plain", `cat ${own}/ca.crt`)}\n`,
    },
    {
      volume: "kube-api-access-…",
      mounts: [0, 1].map(() => [{ name: volume?.name, readOnly: true, mountPath: own }]),
      namespace: "default",
      init: "default",
      files: `code 1: touch: ${own}/x: Read-only file system\ncommand terminated with exit code 1`,
      authority: await kubectl(
        "get",
        "configmap",
        "kube-root-ca.crt",
        "-n",
        "other",
        "-o",
        "jsonpath={.data.ca\\.crt}",
      ),
    },
  );
});

for (const version of ["old", "new"]) {
  test(`kubectl inside of a pod is the pod's account, which may look around and do no more: ${version}`, async () => {
    const words = `kubectl-${version}`;
    const versions = await inside("client", `${words} version -o json`);
    assert.deepEqual(
      {
        server: JSON.parse(versions).serverVersion.major,
        refusal: await inside("client", `${words} get pods -A`),
        may: await inside("client", `${words} auth can-i create pods; true`),
        byName: await inside(
          "client",
          `${words} --server https://kubernetes.default --certificate-authority ${own}/ca.crt --token $(cat ${own}/token) get --raw /readyz`,
        ),
        ...(version === "new"
          ? { who: await inside("client", `${words} auth whoami -o jsonpath={.status.userInfo.username}`) }
          : {}),
      },
      {
        server: "1",
        refusal:
          'code 1: Error from server (Forbidden): pods is forbidden: User "system:serviceaccount:default:default" cannot list resource "pods" in API group "" at the cluster scope\ncommand terminated with exit code 1',
        may: "no",
        byName: "ok",
        ...(version === "new" ? { who: "system:serviceaccount:default:default" } : {}),
      },
    );
  });
}

test("automountServiceAccountToken false is honoured, the pod's word goes before its account's", async () => {
  const has = async (pod: string, container = "main") => {
    const args = ["exec", pod, "-c", container, "--", "sh", "-c", `test -f ${own}/token && echo yes || echo no`];
    return done(await cluster.kubectl("new", args)).trim();
  };
  assert.deepEqual(
    {
      plain: await has("plain"),
      without: await has("without"),
      quiet: await has("quiet"),
      loud: await has("loud"),
      ownMount: await has("own"),
      besideOwnMount: await has("own", "other"),
    },
    { plain: "yes", without: "no", quiet: "no", loud: "yes", ownMount: "no", besideOwnMount: "yes" },
  );
});

test("a pod of an account that does not exist is refused", async () => {
  const input = JSON.stringify(podOf("nobody", [shell("main", forever)], { serviceAccountName: "nobody" }));
  const { code, stderr } = await cluster.kubectl("new", ["apply", "-f", "-"], { input });
  assert.deepEqual(
    [
      code,
      /pods "nobody" is forbidden: error looking up service account default\/nobody: serviceaccount "nobody" not found/.test(
        stderr,
      ),
    ],
    [1, true],
  );
});

test("the authority's ConfigMap comes back when it was deleted", async () => {
  await kubectl("delete", "configmap", "kube-root-ca.crt", "-n", "other");
  await until("kube-root-ca.crt is back", async () => {
    const { code } = await cluster.kubectl("new", ["get", "configmap", "kube-root-ca.crt", "-n", "other"]);
    return code === 0 ? true : undefined;
  });
});

test("a token ends with its pod", async () => {
  const token = await inside("loud", `cat ${own}/token`);
  const who = async () => {
    const args = ["auth", "whoami", "--token", token, "-o", "jsonpath={.status.userInfo.username}"];
    // With no certificate of ours beside it.
    const server = await kubectl("config", "view", "--raw", "-o", "jsonpath={.clusters[0].cluster.server}");
    try {
      return execFileSync(
        await newKubectl(),
        [...args, "--server", server, "--insecure-skip-tls-verify", "--kubeconfig", "/dev/null"],
        { env: { HOME: "/nonexistent" }, stdio: "pipe" },
      ).toString();
    } catch (error) {
      return String((error as { stderr?: Buffer }).stderr).trim();
    }
  };
  const before = await who();
  await kubectl("delete", "pod", "loud", "--wait=true");
  assert.deepEqual(
    [before, await who()],
    ["system:serviceaccount:default:quiet", "error: You must be logged in to the server (Unauthorized)"],
  );
});
