// Fields of services and of pods' ports that say who is served where: tried from the machine and from pods of a cluster of two nodes.
import assert from "node:assert/strict";
import { get } from "node:http";
import { after, before, test } from "node:test";
import { services } from "../../api/kinds/generated/resources.ts";
import type { Container, Pod, PodSpec, Service, ServiceSpec } from "../../api/kinds/generated/types.ts";
import { startCluster, type TestCluster } from "./cluster.ts";
import { done, importProbe, until } from "./questions.ts";
import { agentOf } from "./remains.ts";
import { applyPods, untilConditions, untilPod } from "./shell-pods.ts";

let cluster: TestCluster;
const kubectl = async (...args: string[]) => done(await cluster.kubectl("new", args));
const address = (i: number) => cluster.nodes[i]?.address ?? "";
const nodeName = (i: number) => cluster.nodes[i]?.name ?? "";

/** A pod of node i that answers with its name on port 8080. */
function server(name: string, i: number, more: Partial<Container> = {}, spec: Partial<PodSpec> = {}): Pod {
  const readinessProbe = { tcpSocket: { port: 8080 }, periodSeconds: 1 };
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, labels: { app: name, tier: "web" } },
    spec: {
      nodeSelector: { "kubernetes.io/hostname": nodeName(i) },
      terminationGracePeriodSeconds: 1,
      containers: [
        { name: "main", image: "naru.local/probe:1", args: ["serve", "8080", "from"], readinessProbe, ...more },
      ],
      ...spec,
    },
  };
}

function service(name: string, spec: Partial<ServiceSpec>): Service {
  const ports = [{ name: "http", port: 80, targetPort: 8080 }];
  return { apiVersion: "v1", kind: "Service", metadata: { name }, spec: { selector: { tier: "web" }, ports, ...spec } };
}

/** What the machine is answered: the pod's name, or the error's code. */
function ask(host: string, port: number): Promise<string> {
  return new Promise((resolve) => {
    const request = get({ host, port, agent: false, timeout: 1000 }, (response) => {
      let text = "";
      response.on("data", (bytes: Buffer) => {
        text += bytes.toString();
      });
      response.on("end", () => resolve(text.trim().replace(/^from /, "")));
    });
    request.on("timeout", () => request.destroy(Object.assign(new Error("no answer"), { code: "TIMEOUT" })));
    request.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  });
}

/** What a pod is answered. */
async function askFrom(pod: string, host: string, port: number): Promise<string> {
  const { code, stdout } = await cluster.kubectl("new", ["exec", pod, "--", "/probe", "get", host, String(port)]);
  return code === 0 ? stdout.trim().replace(/^from /, "") : "error";
}

async function manyFrom(pod: string, host: string): Promise<readonly string[]> {
  const answers = await Promise.all(Array.from({ length: 12 }, () => askFrom(pod, host, 80)));
  return [...new Set(answers)].sort();
}

const getService = (name: string) => cluster.client.get(services, { namespace: "default", name });
const clusterIp = async (name: string) => (await getService(name)).spec?.clusterIP ?? "";
const ingressOf = async (name: string) =>
  ((await getService(name)).status?.loadBalancer?.ingress ?? []).map(({ ip }) => ip);
const untilIngress = (name: string, wanted: readonly string[]) =>
  until(`${name} is at ${wanted.join()}`, async () => {
    const found = await ingressOf(name);
    return found.join() === wanted.join() ? found : undefined;
  });

before(async () => {
  cluster = await startCluster({ nodes: 2 });
  await importProbe(cluster);
  await applyPods(
    cluster,
    server("one", 0, { ports: [{ containerPort: 8080, hostPort: 18080 }] }),
    server("two", 1),
    service("sticky", { sessionAffinity: "ClientIP" }),
    service("near", { internalTrafficPolicy: "Local" }),
    service("nearest", { trafficDistribution: "PreferSameNode" }),
    service("far", { selector: { app: "two" }, internalTrafficPolicy: "Local" }),
  );
  await Promise.all(["one", "two"].map((name) => untilConditions(cluster, name, { Ready: "True" })));
});
after(() => cluster?.[Symbol.asyncDispose]());

test("a hostPort is open on the pod's node alone, to the machine and to pods, until the pod goes", async () => {
  const before = {
    machine: await ask(address(0), 18080),
    otherNode: await ask(address(1), 18080),
    itself: await askFrom("one", address(0), 18080),
    farPod: await askFrom("two", address(0), 18080),
  };
  await applyPods(cluster, server("rival", 0, { ports: [{ containerPort: 8080, hostPort: 18080 }] }));
  const refusal = await untilPod(cluster, "rival", {
    what: "says why it waits",
    accept: ({ status }) => status?.conditions?.find(({ reason }) => reason === "Unschedulable")?.message,
  });
  assert.deepEqual(
    { ...before, refusal: /has host port 18080 in use/.test(refusal) },
    { machine: "one", otherNode: "ECONNREFUSED", itself: "one", farPod: "one", refusal: true },
  );
  await kubectl("delete", "pod", "rival");
});

test("sessionAffinity, internalTrafficPolicy and trafficDistribution choose among the endpoints", async () => {
  const [sticky, near, nearest, far] = await Promise.all(["sticky", "near", "nearest", "far"].map(clusterIp));
  assert.deepEqual(
    {
      sticky: (await manyFrom("one", sticky ?? "")).length,
      near: [await manyFrom("one", near ?? ""), await manyFrom("two", near ?? "")],
      nearest: [await manyFrom("one", nearest ?? ""), await manyFrom("two", nearest ?? "")],
      far: [await manyFrom("one", far ?? ""), await manyFrom("two", far ?? "")],
    },
    { sticky: 1, near: [["one"], ["two"]], nearest: [["one"], ["two"]], far: [["error"], ["two"]] },
  );
});

test("trafficDistribution keeps clients in their zone once the nodes have zones, and follows a node that moves", async () => {
  const zone = (i: number, name: string) =>
    kubectl("label", "node", nodeName(i), `topology.kubernetes.io/zone=${name}`, "--overwrite");
  await applyPods(cluster, service("zonal", { trafficDistribution: "PreferClose" }));
  const ip = await clusterIp("zonal");
  const seen = async () => JSON.stringify([await manyFrom("one", ip), await manyFrom("two", ip)]);
  const untilSeen = (wanted: readonly (readonly string[])[]) =>
    until(`clients are served by ${JSON.stringify(wanted)}`, async () =>
      (await seen()) === JSON.stringify(wanted) ? true : undefined,
    );
  const all = ["one", "two"];
  await untilSeen([all, all]);
  await Promise.all([zone(0, "a"), zone(1, "b")]);
  await untilSeen([["one"], ["two"]]);
  await zone(1, "a");
  await untilSeen([all, all]);
});

test("a balancer with externalTrafficPolicy Local is at the nodes with ready pods, and follows them; its health checks say so", async () => {
  await applyPods(
    cluster,
    service("local", { type: "LoadBalancer", selector: { app: "two" }, externalTrafficPolicy: "Local" }),
  );
  await untilIngress("local", [address(1)]);
  const port = (await getService("local")).spec?.healthCheckNodePort ?? 0;
  const health = async (i: number) => JSON.parse(await ask(address(i), port)).localEndpoints;
  const second = await until("served", async () => ((await ask(address(1), 80)) === "two" ? "two" : undefined));
  const checks = await until("checked", async () => ((await health(1)) === 1 ? [await health(0), 1] : undefined));
  const none = await ask(address(0), 80);
  await kubectl("label", "pod", "one", "app=two", "--overwrite");
  await untilIngress("local", [address(0), address(1)]);
  const both = await until("served", async () => ((await ask(address(0), 80)) === "one" ? "one" : undefined));
  await kubectl("label", "pod", "one", "app=one", "--overwrite");
  await untilIngress("local", [address(1)]);
  assert.deepEqual([second, checks, none, both], ["two", [0, 1], "ECONNREFUSED", "one"]);
  await kubectl("delete", "service", "local");
  await until("closed", async () => ((await ask(address(0), port)) === "ECONNREFUSED" ? true : undefined));
});

test("loadBalancerSourceRanges keeps others out, loadBalancerIP chooses the node, loadBalancerClass leaves it to somebody else", async () => {
  await applyPods(
    cluster,
    service("guarded", {
      type: "LoadBalancer",
      loadBalancerIP: address(1),
      loadBalancerSourceRanges: ["10.244.0.0/16", "10.244.0.0/24"],
    }),
    service("theirs", {
      type: "LoadBalancer",
      loadBalancerClass: "example.com/theirs",
      ports: [{ name: "http", port: 81, targetPort: 8080 }],
    }),
  );
  await untilIngress("guarded", [address(1)]);
  const pods = await until("pods are served", async () => {
    const [answer = ""] = await manyFrom("one", address(1));
    return ["one", "two"].includes(answer) ? "served" : undefined;
  });
  const outside = await ask(address(1), 80);
  await kubectl("patch", "service", "guarded", "-p", '{"spec":{"loadBalancerSourceRanges":["0.0.0.0/0"]}}');
  const opened = await until("everybody is served", async () =>
    ["one", "two"].includes(await ask(address(1), 80)) ? "served" : undefined,
  );
  assert.deepEqual([pods, outside, opened, await ingressOf("theirs")], ["served", "TIMEOUT", "served", []]);
});

test("a hostPort goes on through the agent's death, and closes with its pod", async () => {
  const pid = agentOf(cluster.place, nodeName(0));
  process.kill(pid, "SIGKILL");
  const meanwhile = await ask(address(0), 18080);
  await until("another agent", () => {
    const now = agentOf(cluster.place, nodeName(0));
    return now !== 0 && now !== pid ? true : undefined;
  });
  // A change of services has it load its table.
  await applyPods(cluster, service("late", { selector: { app: "one" } }));
  const late = await clusterIp("late");
  await until("the new agent's rules", async () => ((await askFrom("one", late, 80)) === "one" ? true : undefined));
  const later = await ask(address(0), 18080);
  await kubectl("delete", "pod", "one");
  assert.deepEqual([meanwhile, later, await ask(address(0), 18080)], ["one", "one", "ECONNREFUSED"]);
});
