// A real network of three hosts: pods in namespaces of their own, services, names, restarts, and nothing left at the end.
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import type { EndpointSlice, Node, Service } from "../../api/kinds/generated/types.ts";
import type { HostPort } from "./host-ports.ts";
import { type Hosts, openHosts, removeHosts } from "./hosts.ts";
import { dropNamespaces, launcherPath, makeNamespaces, type Probe, startProbe } from "./namespace-rig.ts";
import { linkNameOf } from "./pod-links.ts";

const cluster = `nt${process.pid}`;
const runDir = join(tmpdir(), `naru-${cluster}`);
const hostNames: readonly string[] = ["node-1", "node-2", "node-3"];
const skip = process.getuid?.() !== 0 ? "needs root" : false;

interface RunningNode {
  readonly name: string;
  readonly address: string;
  readonly networkPath: string;
  probe: Probe;
}

interface RunningPod {
  readonly uid: string;
  readonly path: string;
  readonly node: string;
  readonly ips: readonly string[];
  readonly probe: Probe;
}

for (const backend of ["vxlan", "host-gw", "auto"] as const) {
  describe(`a network of three hosts by ${backend}`, { skip }, () => {
    let hosts: Hosts;
    let machineBefore: readonly string[] = [];
    /** A new namespace begins with what the machine has at that moment. */
    const forwardingBefore = new Map<string, string>();
    const nodes: RunningNode[] = [];
    const pods: RunningPod[] = [];

    before(async () => {
      execFileSync("sh", [new URL("../launcher/build.sh", import.meta.url).pathname]);
      await sweep();
      machineBefore = machineState();
      mkdirSync(join(runDir, "pods"), { recursive: true });
      hosts = await openHosts({ cluster, hosts: hostNames, runDir, launcherPath });
      for (const { networkPath } of hosts.list) forwardingBefore.set(networkPath, forwardingOf(networkPath));
      for (const host of hosts.list) nodes.push({ ...host, probe: await startNode(host, backend) });
      for (const [i, node] of ["node-1", "node-1", "node-2", "node-3"].entries()) {
        pods.push(await startPod(nodes, { uid: `pod-${i}`, node }));
      }
      await applyEverywhere(nodes, cluster1(nodes, pods));
    });

    after(async () => {
      for (const pod of pods) await pod.probe[Symbol.asyncDispose]();
      for (const node of nodes) await node.probe[Symbol.asyncDispose]();
      await dropNamespaces(readdirSync(join(runDir, "pods")).map((name) => join(runDir, "pods", name)));
      await hosts[Symbol.asyncDispose]();
      rmSync(runDir, { recursive: true, force: true });
      assert.deepEqual(machineState(), machineBefore);
    });

    const pod = (i: number) => some(pods[i]);
    const node = (i: number) => some(nodes[i]);

    it("gives pods addresses of their node's ranges: attachPod", () => {
      assert.deepEqual(
        pods.map(({ ips }) => ips),
        [
          ["10.244.1.2", "fd00:10:1::2"],
          ["10.244.1.3", "fd00:10:1::3"],
          ["10.244.2.2", "fd00:10:2::2"],
          ["10.244.3.2", "fd00:10:3::2"],
        ],
      );
    });

    it("answers again with the same addresses: attachPod", async () => {
      assert.deepEqual(await node(0).probe.call("attachPod", pod(0).uid, pod(0).path), pod(0).ips);
    });

    it("lets every pod reach every pod by its own address: attachPod, applyCluster", async () => {
      for (const from of pods) {
        for (const to of pods) {
          assert.equal(await from.probe.call("ask", to.ips[0], 8080), `${to.uid} ${from.ips[0]}`);
          assert.equal(await from.probe.call("askUdp", to.ips[0], 8080), `${to.uid} ${from.ips[0]}`);
        }
      }
    });

    it("does the same over IPv6 where the vxlan carries it: applyCluster", { skip: backend !== "vxlan" }, async () => {
      for (const to of pods) {
        assert.equal(await pod(0).probe.call("ask", to.ips[1], 8080), `${to.uid} ${pod(0).ips[1]}`);
      }
    });

    it("lets every node reach every pod: applyCluster", async () => {
      for (const [i, from] of nodes.entries()) {
        for (const to of pods) {
          assert.equal(await from.probe.call("ask", to.ips[0], 8080), `${to.uid} 10.244.${i + 1}.1`);
        }
      }
    });

    it("spreads a service's connections over its endpoints: applyCluster", async () => {
      for (const from of [...pods, ...nodes]) {
        assert.deepEqual(await answerers(from.probe, "10.96.0.20", 80), ["pod-0", "pod-2", "pod-3"]);
      }
    });

    it("keeps the pod's address as the source within the cluster: applyCluster", async () => {
      assert.equal(await pod(1).probe.call("ask", "10.96.0.21", 81), `pod-2 ${pod(1).ips[0]}`);
    });

    it("lets a pod reach itself through its service: applyCluster", async () => {
      assert.equal(await pod(1).probe.call("ask", "10.96.0.23", 80), "pod-1 10.244.1.1");
    });

    it("serves UDP: applyCluster", async () => {
      assert.equal(await pod(0).probe.call("askUdp", "10.96.0.21", 53), `pod-2 ${pod(0).ips[0]}`);
    });

    it("sends one client to one endpoint with session affinity: applyCluster", async () => {
      assert.equal((await answerers(pod(1).probe, "10.96.0.24", 80)).length, 1);
    });

    it("keeps a client's endpoint while others come and go, until its time is over: applyCluster", async () => {
      const ask = async () => String(await pod(1).probe.call("ask", "10.96.0.24", 80)).split(" ")[0];
      const remembered = () => affinityOf(node(0)).filter((line) => line.includes("10.96.0.25"));
      const before = await ask();
      const without = (gone: string | undefined) => {
        const state = cluster1(nodes, pods);
        const keep = pods.filter(({ uid }) => ["pod-0", "pod-2", "pod-3"].includes(uid) && uid !== gone);
        const slices = state.endpointSlices.map((slice) =>
          slice.metadata?.name === "sticky" ? sliceOf("sticky", keep, { http: 8080 }) : slice,
        );
        return { ...state, endpointSlices: slices };
      };
      const answers: (string | undefined)[] = [];
      for (const other of ["pod-0", "pod-2", "pod-3"].filter((uid) => uid !== before)) {
        await applyEverywhere(nodes, without(other));
        answers.push(await ask());
      }
      assert.deepEqual(answers, [before, before]);
      // One that is gone is forgotten, and its successor kept when it is back.
      await applyEverywhere(nodes, without(before));
      const after = await ask();
      await applyEverywhere(nodes, without(undefined));
      assert.deepEqual([after === before, await ask()], [false, after]);

      await pod(1).probe.call("ask", "10.96.0.25", 80);
      assert.match(remembered().join(), /timeout 1s/);
      while (remembered().length > 0) await delay(100);
    });

    it("refuses a service without endpoints at once: applyCluster", async () => {
      assert.equal(await pod(0).probe.call("ask", "10.96.0.22", 80), "error ECONNREFUSED");
      assert.equal(await node(0).probe.call("ask", "10.96.0.22", 80), "error ECONNREFUSED");
      assert.equal(await pod(0).probe.call("askUdp", "10.96.0.22", 80), "error ECONNREFUSED");
    });

    it("opens node ports on every node, for the machine, nodes and pods: applyCluster", async () => {
      const machine = await machineProbe();
      for (const { address } of nodes) {
        assert.deepEqual(await answerers(machine, address, 30080), ["pod-0", "pod-2", "pod-3"]);
        assert.deepEqual(await answerers(node(1).probe, address, 30080), ["pod-0", "pod-2", "pod-3"]);
        assert.deepEqual(await answerers(pod(1).probe, address, 30080), ["pod-0", "pod-2", "pod-3"]);
      }
    });

    it("keeps the client's address with externalTrafficPolicy Local: applyCluster", async () => {
      const machine = await machineProbe();
      assert.equal(await machine.call("ask", node(1).address, 30081), `pod-2 ${hosts.gateway}`);
      assert.equal(await machine.call("ask", node(0).address, 30081), "error ECONNREFUSED");
    });

    it("opens ports of one node for its pods, for the machine, nodes and pods: applyCluster", async () => {
      const machine = await machineProbe();
      const at = node(0).address;
      const udp = await machine.call("askUdp", at, 5353);
      assert.deepEqual(
        {
          machine: await machine.call("ask", at, 8081),
          udp,
          ownNode: await node(0).probe.call("ask", at, 8081),
          loopback: await node(0).probe.call("ask", "127.0.0.1", 8081),
          otherNode: await node(1).probe.call("ask", at, 8081),
          itself: await pod(0).probe.call("ask", at, 8081),
          neighbour: await pod(1).probe.call("ask", at, 8081),
          far: await pod(2).probe.call("ask", at, 8081),
          bound: await machine.call("ask", at, 8082),
          boundElsewhere: await machine.call("ask", at, 8083),
          boundToLoopback: await node(0).probe.call("ask", "127.0.0.1", 8083),
          byService: await node(0).probe.call("ask", "10.244.1.1", 8082),
          noOtherNode: await machine.call("ask", node(1).address, 8081),
        },
        {
          machine: `pod-0 ${hosts.gateway}`,
          udp: `pod-1 ${hosts.gateway}`,
          ownNode: "pod-0 10.244.1.1",
          loopback: "pod-0 10.244.1.1",
          otherNode: `pod-0 ${node(1).address}`,
          itself: "pod-0 10.244.1.1",
          neighbour: `pod-0 ${pod(1).ips[0]}`,
          far: `pod-0 ${node(1).address}`,
          bound: `pod-1 ${hosts.gateway}`,
          boundElsewhere: "error ECONNREFUSED",
          boundToLoopback: "pod-1 10.244.1.1",
          byService: "error ECONNREFUSED",
          noOtherNode: "error ECONNREFUSED",
        },
      );
    });

    it("closes the ports of a pod that went: detachPod", async () => {
      const machine = await machineProbe();
      const spare = await startPod(nodes, { uid: "spare-ports", node: "node-1" });
      const before = await machine.call("ask", node(0).address, 8084);
      await node(0).probe.call("detachPod", spare.uid);
      const after = await machine.call("ask", node(0).address, 8084);
      await spare.probe[Symbol.asyncDispose]();
      assert.deepEqual([before, after], [`spare-ports ${hosts.gateway}`, "error ECONNREFUSED"]);
    });

    it("lets pods out under their node's address: setUp", async () => {
      const machine = await machineProbe();
      const port = await machine.call("serve", "machine", 0, hosts.gateway);
      assert.equal(await pod(3).probe.call("ask", hosts.gateway, port), `machine ${node(2).address}`);
      assert.equal(await pod(0).probe.call("ask", node(1).address, 9), "error ECONNREFUSED");
    });

    it("answers the cluster's names on UDP and TCP: applyCluster", async () => {
      const ask = (name: string, type: string, transport = "udp") =>
        pod(0).probe.call("resolve", "10.96.0.10", name, type, transport);
      assert.deepEqual(
        [
          await ask("web.default.svc.cluster.local", "A"),
          await ask("WEB.default.svc.cluster.local", "A", "tcp"),
          await ask("web.default.svc.cluster.local", "AAAA"),
          await ask("nothing.default.svc.cluster.local", "A"),
          await ask("headless.default.svc.cluster.local", "A"),
          await ask("zero.headless.default.svc.cluster.local", "A"),
          await ask("_http._tcp.headless.default.svc.cluster.local", "SRV"),
          await ask("_http._tcp.web.default.svc.cluster.local", "SRV"),
          await ask("20.0.96.10.in-addr.arpa", "PTR"),
          await pod(0).probe.call("resolve", "10.244.1.1", "web.default.svc.cluster.local", "A", "udp"),
          await node(1).probe.call("resolve", "10.96.0.10", "web.default.svc.cluster.local", "A", "udp"),
          await ask("example.test", "A"),
        ],
        [
          "NOERROR A 10.96.0.20",
          "NOERROR A 10.96.0.20",
          "NOERROR",
          "NXDOMAIN",
          "NOERROR A 10.244.1.2, A 10.244.2.2",
          "NOERROR A 10.244.1.2",
          "NOERROR SRV 10-244-2-2.headless.default.svc.cluster.local:8080, SRV zero.headless.default.svc.cluster.local:8080",
          "NOERROR SRV web.default.svc.cluster.local:80",
          "NOERROR PTR web.default.svc.cluster.local",
          "NOERROR A 10.96.0.20",
          "NOERROR A 10.96.0.20",
          "SERVFAIL",
        ],
      );
    });

    it("follows endpoints as they change: applyCluster", async () => {
      const state = cluster1(nodes, pods);
      const slices = state.endpointSlices.map((slice) =>
        slice.metadata?.name === "web" ? sliceOf("web", [pod(2)], { http: 8080 }) : slice,
      );
      await applyEverywhere(nodes, { ...state, endpointSlices: slices });
      assert.deepEqual(await answerers(pod(3).probe, "10.96.0.20", 80), ["pod-2"]);
      const without = state.services.filter(({ metadata }) => metadata?.name !== "web");
      await applyEverywhere(nodes, { ...state, services: without });
      assert.equal(await pod(3).probe.call("ask", "10.96.0.20", 80), "error ECONNREFUSED");
      await applyEverywhere(nodes, state);
      assert.deepEqual(await answerers(pod(3).probe, "10.96.0.20", 80), ["pod-0", "pod-2", "pod-3"]);
    });

    it("takes a UDP client from an endpoint that went to one that is there: applyCluster", async () => {
      const state = cluster1(nodes, pods);
      const moved = state.endpointSlices.map((slice) =>
        slice.metadata?.name === "two" ? sliceOf("two", [pod(3)], { http: 8080, dns: 8080 }) : slice,
      );
      const ask = async () => String(await pod(0).probe.call("askUdp", "10.96.0.21", 53, 40_053)).split(" ")[0];
      const before = await ask();
      await applyEverywhere(nodes, { ...state, endpointSlices: moved });
      const after = await ask();
      await applyEverywhere(nodes, state);
      assert.deepEqual([before, after, await ask()], ["pod-2", "pod-3", "pod-2"]);
    });

    it("adopts pods and rules after kill -9, frees what was deleted meanwhile: setUp, attachedPods", async () => {
      const spare = await startPod(nodes, { uid: "spare", node: "node-1" });
      const kept = () => affinityOf(node(0)).map((line) => line.replace(/ timeout.*:/, ""));
      const clients = kept();
      assert.equal(clients.length > 0, true);
      await node(0).probe.kill();
      // Connections and services go on without the agent; a namespace that vanishes takes its address with it.
      assert.deepEqual(await answerers(pod(0).probe, "10.96.0.20", 80), ["pod-0", "pod-2", "pod-3"]);
      assert.equal(await node(2).probe.call("ask", node(0).address, 8081), `pod-0 ${node(2).address}`);
      await spare.probe[Symbol.asyncDispose]();
      await dropNamespaces([spare.path]);
      await until(() => !inside(node(0).networkPath, ["ip", "link"]).includes(linkOf(spare)));
      inside(node(0).networkPath, ["nft", "add rule inet naru services counter"]);
      node(0).probe = await startNode(node(0), backend);
      assert.deepEqual(sorted(await node(0).probe.call("attachedPods")), ["pod-0", "pod-1"]);
      assert.deepEqual(await node(0).probe.call("attachPod", pod(1).uid, pod(1).path), pod(1).ips);
      await node(0).probe.call("applyCluster", cluster1(nodes, pods));
      assert.equal(
        inside(node(0).networkPath, ["nft", "list", "chain", "inet", "naru", "services"]).includes("counter"),
        false,
      );
      assert.deepEqual(kept(), clients);
      assert.deepEqual(await answerers(pod(0).probe, "10.96.0.20", 80), ["pod-0", "pod-2", "pod-3"]);
      assert.equal(await node(2).probe.call("ask", node(0).address, 8081), `pod-0 ${node(2).address}`);
      assert.equal(await pod(2).probe.call("ask", pod(0).ips[0], 8080), `pod-0 ${pod(2).ips[0]}`);
    });

    it("drops a node that left, takes it back: applyCluster", async () => {
      const state = cluster1(nodes, pods);
      const without = { ...state, nodes: state.nodes.filter(({ metadata }) => metadata?.name !== "node-3") };
      await node(0).probe.call("applyCluster", without);
      assert.equal(inside(node(0).networkPath, ["ip", "route"]).includes("10.244.3.0/24"), false);
      await node(0).probe.call("applyCluster", state);
      assert.equal(await pod(0).probe.call("ask", pod(3).ips[0], 8080), `pod-3 ${pod(0).ips[0]}`);
    });

    it("cuts a host off and brings it back: openHosts", async () => {
      const machine = await machineProbe();
      await hosts.cut("node-2");
      assert.match(String(await machine.call("ask", node(1).address, 30081)), /^error/);
      await hosts.restore("node-2");
      await until(async () => (await machine.call("ask", node(1).address, 30081)) === `pod-2 ${hosts.gateway}`);
    });

    it("frees link and address: detachPod", async () => {
      const spare = await startPod(nodes, { uid: "spare-2", node: "node-2" });
      assert.equal(inside(node(1).networkPath, ["ip", "link"]).includes(linkOf(spare)), true);
      await node(1).probe.call("detachPod", spare.uid);
      await node(1).probe.call("detachPod", spare.uid);
      await node(1).probe.call("detachPod", "never seen");
      assert.equal(inside(node(1).networkPath, ["ip", "link"]).includes(linkOf(spare)), false);
      await spare.probe[Symbol.asyncDispose]();
    });

    it("leaves nothing: tearDown", async () => {
      for (const { probe, networkPath } of nodes) {
        await probe.call("tearDown");
        assert.deepEqual(
          {
            links: inside(networkPath, ["ip", "-o", "link"])
              .trim()
              .split("\n")
              .map((line) => line.split(/[:@]/)[1]?.trim()),
            rules: inside(networkPath, ["nft", "list", "ruleset"]),
            routes: inside(networkPath, ["ip", "route"]).includes("10."),
            forwarding: forwardingOf(networkPath),
          },
          { links: ["lo", "eth0"], rules: "", routes: false, forwarding: forwardingBefore.get(networkPath) },
        );
      }
    });

    // The machine itself, as one more asker.
    let ownProbe: Probe | undefined;
    async function machineProbe(): Promise<Probe> {
      ownProbe ??= startProbe("/proc/self/ns/net");
      return ownProbe;
    }
    after(() => ownProbe?.[Symbol.asyncDispose]());
  });
}

it("removes what a killed run left: removeHosts", { skip }, async () => {
  const before = machineState();
  const options = { cluster: `nk${process.pid}`, runDir, launcherPath };
  await openHosts({ ...options, hosts: ["a", "b"] });
  assert.notDeepEqual(machineState(), before);
  await removeHosts(options);
  await removeHosts(options);
  assert.deepEqual([machineState(), existsSync(join(runDir, "netns"))], [before, false]);
  rmSync(runDir, { recursive: true, force: true });
});

it("keeps two clusters apart: openHosts", { skip }, async () => {
  const options = (cluster: string) => ({ cluster, runDir: join(runDir, cluster), launcherPath });
  const before = machineState();
  const [one, two] = await Promise.all([
    openHosts({ ...options(`n1${process.pid}`), hosts: ["a"] }),
    openHosts({ ...options(`n2${process.pid}`), hosts: ["a"] }),
  ]);
  const probe = startProbe(two.list[0]?.networkPath ?? "");
  await one[Symbol.asyncDispose]();
  await probe.call("serve", "two", 8080);
  const machine = startProbe("/proc/self/ns/net");
  assert.equal(await machine.call("ask", two.list[0]?.address, 8080), `two ${two.gateway}`);
  await machine[Symbol.asyncDispose]();
  await probe[Symbol.asyncDispose]();
  await two[Symbol.asyncDispose]();
  assert.deepEqual(machineState(), before);
  rmSync(runDir, { recursive: true, force: true });
});

// What a test run left that was killed: its names carry the id of a process that is no more.
async function sweep(): Promise<void> {
  for (const name of readdirSync(tmpdir())) {
    const [, leftCluster, pid] = /^naru-(nt(\d+))$/.exec(name) ?? [];
    if (leftCluster === undefined || existsSync(`/proc/${pid}`)) continue;
    const leftDir = join(tmpdir(), name);
    const pods = join(leftDir, "pods");
    if (existsSync(pods)) await dropNamespaces(readdirSync(pods).map((pod) => join(pods, pod)));
    await removeHosts({ cluster: leftCluster, runDir: leftDir, launcherPath });
    await removeHosts({ cluster: `nk${pid}`, runDir: leftDir, launcherPath });
    for (const other of [`n1${pid}`, `n2${pid}`]) {
      await removeHosts({ cluster: other, runDir: join(leftDir, other), launcherPath });
    }
    rmSync(leftDir, { recursive: true, force: true });
  }
}

async function startNode(
  host: { readonly name: string; readonly address: string; readonly networkPath: string },
  backend: "vxlan" | "host-gw" | "auto",
): Promise<Probe> {
  const probe = startProbe(host.networkPath);
  const number = hostNames.indexOf(host.name) + 1;
  await probe.call("open", {
    stateDir: join(runDir, "state", host.name),
    clusterCidrs: ["10.244.0.0/16", "fd00:10::/32"],
    serviceCidr: "10.96.0.0/12",
    clusterDomain: "cluster.local",
    backend,
    upstreams: [],
  });
  const podCidrs = [`10.244.${number}.0/24`, `fd00:10:${number}::/64`];
  await probe.call("setUp", { name: host.name, nodeIp: host.address, podCidrs });
  return probe;
}

async function startPod(
  nodes: readonly RunningNode[],
  { uid, node }: { readonly uid: string; readonly node: string },
): Promise<RunningPod> {
  const path = join(runDir, "pods", uid);
  await makeNamespaces([path]);
  const host = some(nodes.find(({ name }) => name === node));
  const ips = (await host.probe.call("attachPod", uid, path)) as readonly string[];
  const probe = startProbe(path);
  await probe.call("serve", uid, 8080);
  return { uid, path, node, ips, probe };
}

async function applyEverywhere(nodes: readonly RunningNode[], state: ReturnType<typeof cluster1>): Promise<void> {
  await Promise.all(nodes.map(({ probe }) => probe.call("applyCluster", state)));
}

function cluster1(nodes: readonly RunningNode[], pods: readonly RunningPod[]) {
  const [zero, one, two, three] = pods;
  const web = [zero, two, three].map(some);
  const tcp = (name: string, port: number, more = {}) => ({ name, port, protocol: "TCP", ...more });
  return {
    nodes: nodes.map(({ name, address }, i): Node => {
      const podCIDRs = [`10.244.${i + 1}.0/24`, `fd00:10:${i + 1}::/64`];
      return {
        metadata: { name },
        spec: { podCIDR: `10.244.${i + 1}.0/24`, podCIDRs },
        status: { addresses: [{ type: "InternalIP", address }] },
      };
    }),
    services: [
      serviceOf("web", "10.96.0.20", { type: "NodePort", ports: [tcp("http", 80, { nodePort: 30080 })] }),
      serviceOf("two", "10.96.0.21", {
        type: "NodePort",
        externalTrafficPolicy: "Local",
        ports: [tcp("http", 81, { nodePort: 30081 }), { name: "dns", port: 53, protocol: "UDP" }],
      }),
      serviceOf("nobody", "10.96.0.22", { ports: [tcp("http", 80), { name: "u", port: 80, protocol: "UDP" }] }),
      serviceOf("self", "10.96.0.23", { ports: [tcp("http", 80)] }),
      serviceOf("sticky", "10.96.0.24", { sessionAffinity: "ClientIP", ports: [tcp("http", 80)] }),
      serviceOf("brief", "10.96.0.25", {
        sessionAffinity: "ClientIP",
        sessionAffinityConfig: { clientIP: { timeoutSeconds: 1 } },
        ports: [tcp("http", 80)],
      }),
      serviceOf("headless", "None", { ports: [tcp("http", 8080)] }),
    ],
    endpointSlices: [
      sliceOf("web", web, { http: 8080 }),
      sliceOf("two", [some(two)], { http: 8080, dns: 8080 }),
      sliceOf("nobody", [some(one)], { http: 8080, u: 8080 }, { ready: false }),
      sliceOf("self", [some(one)], { http: 8080 }),
      sliceOf("sticky", web, { http: 8080 }),
      sliceOf("brief", web, { http: 8080 }),
      sliceOf("headless", [some(zero), some(two)], { http: 8080 }, { ready: true, firstHostname: "zero" }),
    ],
    // Every node is told all: none but the first has these pods.
    hostPorts: [
      hostPort("pod-0", 8081),
      hostPort("pod-1", 5353, { protocol: "UDP" }),
      hostPort("pod-1", 8082, { hostIp: nodes[0]?.address ?? "" }),
      hostPort("pod-1", 8083, { hostIp: "127.0.0.1" }),
      hostPort("spare-ports", 8084),
    ],
  };
}

/** Which client has which endpoint of what, as the kernel knows it. */
function affinityOf({ networkPath }: RunningNode): readonly string[] {
  const text = inside(networkPath, ["nft", "list", "ruleset"]);
  const maps = text.matchAll(/map affinity[46] \{[^{}]*?elements = \{([^}]*)\}/g);
  return [...maps].flatMap(([, elements = ""]) => elements.split(",").map((line) => line.trim()));
}

function hostPort(podUid: string, port: number, more: Partial<HostPort> = {}): HostPort {
  return { podUid, hostIp: "", hostPort: port, protocol: "TCP", containerPort: 8080, ...more };
}

function serviceOf(name: string, clusterIP: string, spec: Service["spec"]): Service {
  return {
    metadata: { name, namespace: "default" },
    spec: { type: "ClusterIP", ...spec, clusterIP, clusterIPs: [clusterIP] },
  };
}

function sliceOf(
  name: string,
  pods: readonly RunningPod[],
  ports: Readonly<Record<string, number>>,
  more: { readonly ready?: boolean; readonly firstHostname?: string } = {},
): EndpointSlice {
  return {
    metadata: { name, namespace: "default", labels: { "kubernetes.io/service-name": name } },
    addressType: "IPv4",
    ports: Object.entries(ports).map(([portName, port]) => {
      return { name: portName, port, protocol: portName === "dns" || portName === "u" ? "UDP" : "TCP" };
    }),
    endpoints: pods.map(({ ips, node }, i) => ({
      addresses: [ips[0] ?? ""],
      nodeName: node,
      conditions: { ready: more.ready ?? true },
      ...(i === 0 && more.firstHostname !== undefined ? { hostname: more.firstHostname } : {}),
    })),
  };
}

// Random choice: with this many tries, missing one of three has a chance below one in a million.
async function answerers(probe: Probe, host: string, port: number): Promise<readonly string[]> {
  const answers = await Promise.all(Array.from({ length: 40 }, () => probe.call("ask", host, port)));
  return [...new Set(answers.map((text) => String(text).split(" ")[0] ?? ""))].sort();
}

// Links, tables and claims of this test's clusters; others may come and go meanwhile.
function machineState(): readonly string[] {
  const own = new RegExp(`\\bn[tk12]${process.pid}\\b`);
  const lines = ["ip -o link", "nft list tables", "find /run/naru/forwarding /run/naru -maxdepth 2"].flatMap(
    (command) => spawnSync("sh", ["-c", command]).stdout.toString().split("\n"),
  );
  return lines.filter((line) => own.test(line));
}

function inside(netns: string, command: readonly string[]): string {
  return execFileSync(launcherPath, ["netns-run", netns, "--", ...command]).toString();
}

function forwardingOf(netns: string): string {
  return inside(netns, ["cat", "/proc/sys/net/ipv4/conf/eth0/forwarding"]).trim();
}

function linkOf({ uid }: RunningPod): string {
  return linkNameOf("naru0", uid);
}

async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; !(await isSo()); tries++) {
    if (tries >= 200) throw new Error("it never came true");
    await delay(50);
  }
}

function some<T>(value: T | undefined): T {
  assert.ok(value !== undefined);
  return value;
}

function sorted(values: unknown): readonly string[] {
  return Array.isArray(values) ? values.map(String).sort() : [];
}
