// A machine that goes down: its pods leave their Services, end by priority with their hooks, fail with the reason and are replaced on the
// other machine; `naru node shutdown` begins it, as a machine's own shutdown does.
import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { conditionOf } from "../../api/kinds/conditions.ts";
import { endpointslices, nodes, pods } from "../../api/kinds/generated/resources.ts";
import type { Lifecycle, Pod } from "../../api/kinds/generated/types.ts";
import { type HttpClient, httpClient } from "../../client/http.ts";
import { readKubeconfig } from "../../client/kubeconfig.ts";
import { naruPath, runProgram } from "./cluster.ts";
import { openMachines } from "./machines.ts";
import { web } from "./manifests.ts";
import { archiveOf, probeImage } from "./probe-image.ts";
import { done, isReady, until } from "./questions.ts";

const inDefault = { namespace: "default" };

/** On the machine that goes down. */
function pod(name: string, priorityClassName: string, lifecycle: Lifecycle): object {
  const serve = { args: ["serve", "8080", name], readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1 } };
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, labels: { app: name } },
    spec: {
      priorityClassName,
      nodeName: "two",
      terminationGracePeriodSeconds: 8,
      containers: [{ name: "main", image: "naru.local/probe:1", ...serve, lifecycle }],
    },
  };
}

test("naru node shutdown takes pods out of their Services, ends them by priority with their hooks, and has them replaced", async () => {
  await using machines = await openMachines(["one", "two"]);
  const { place, list } = machines;
  const [one, two] = list;
  assert.ok(one !== undefined && two !== undefined);
  const dataDir = join(place.dataDir, "server");
  one.start(naruPath, ["server", "--advertise", one.address, "--data", dataDir]);
  const env = { ...process.env, KUBECONFIG: join(dataDir, "kubeconfig") };
  const naru = async (args: readonly string[], input = "") => done(await runProgram(naruPath, args, { env, input }));
  const token = (await until("a token", () => naru(["token"]))).trim();
  one.join(`https://${one.address}:6443`, token);
  const groups = ["--shutdown-grace-period-by-pod-priority", "0=10,2000000000=5"];
  const agent = two.join(`https://${one.address}:6443`, token, groups);
  const untilTwoNodes = () =>
    until("two nodes", async () => ((await naru(["get", "nodes"])).match(/ Ready /g)?.length === 2 ? true : undefined));
  await untilTwoNodes();
  const archive = join(place.dataDir, "probe.tar");
  writeFileSync(archive, await archiveOf(await probeImage(), ["naru.local/probe:1"]));
  await naru(["image", "import", archive]);
  const items = [
    pod("usual", "", { preStop: { exec: { command: ["/probe", "sleep", "2"] } } }),
    pod("failing", "", { preStop: { exec: { command: ["/probe", "exit", "3"] } } }),
    pod("dns", "system-cluster-critical", {}),
    {
      ...{ apiVersion: "v1", kind: "Service", metadata: { name: "usual" } },
      spec: { selector: { app: "usual" }, ports: [{ port: 80, targetPort: 8080 }] },
    },
  ];
  await naru(["apply", "-f", "-"], JSON.stringify({ apiVersion: "v1", kind: "List", items }));
  await naru(["apply", "-f", "-"], web({ replicas: 2, nodePort: 30093 }));
  using client = httpClient({ connection: await readKubeconfig(join(dataDir, "kubeconfig")) });
  const get = (name: string) => client.get(pods, { ...inDefault, name });
  const webPods = async () => (await client.list(pods, { ...inDefault, labelSelector: "app=web" })).items;
  await until("all Ready", async () => {
    const all = [...(await Promise.all(["usual", "failing", "dns"].map(get))), ...(await webPods())];
    return all.length === 5 && all.every(isReady) && (await sentTo(client)) ? true : undefined;
  });
  assert.ok((await webPods()).some(({ spec }) => spec?.nodeName === "two"));

  const ended = once(agent, "exit");
  const command = runProgram(naruPath, ["node", "shutdown", "--data", join(place.dataDir, "two")], { env });
  const left = await until("the Service sends nothing, while the pod still runs", async () => {
    if (await sentTo(client)) return undefined;
    const [usual, dns, node] = await Promise.all([get("usual"), get("dns"), notReadyMessage(client)]);
    return node === undefined ? undefined : { running: runs(usual), dns: isReady(dns), node };
  });
  assert.deepEqual(left, { running: true, dns: true, node: "node is shutting down" });
  done(await command);
  assert.deepEqual(await ended, [0, null]);

  const seen = await Promise.all(["usual", "failing", "dns"].map(get));
  const message = "Pod was terminated in response to imminent node shutdown.";
  assert.deepEqual(
    seen.map(({ status }) => [
      status?.phase,
      status?.reason,
      status?.message,
      conditionOf(status?.conditions, "DisruptionTarget")?.reason,
    ]),
    seen.map(() => ["Failed", "Terminated", message, "TerminationByKubelet"]),
  );
  const finished = ({ status }: Pod) => status?.containerStatuses?.[0]?.state?.terminated?.finishedAt ?? "";
  const [usual = "", failing = "", dns = ""] = seen.map(finished);
  assert.ok(failing <= usual && usual <= dns, `${failing} ${usual} ${dns}`);
  assert.match(await naru(["get", "events"]), /FailedPreStopHook/);
  await until("replaced on the other machine", async () => {
    const now = (await webPods()).filter(isReady);
    return now.length === 2 && now.every(({ spec }) => spec?.nodeName === "one") ? true : undefined;
  });

  // As the machine's init does when it stops its services.
  const again = two.join(`https://${one.address}:6443`, token, groups);
  await untilTwoNodes();
  await naru(["apply", "-f", "-"], JSON.stringify(pod("again", "", {})));
  await until("a pod on the machine that is back", async () => (isReady(await get("again")) ? true : undefined));
  const endedAgain = once(again, "exit");
  again.kill("SIGTERM");
  assert.deepEqual(await endedAgain, [0, null]);
  const { phase, reason } = (await get("again")).status ?? {};
  assert.deepEqual([phase, reason], ["Failed", "Terminated"]);
});

async function sentTo(client: HttpClient): Promise<boolean> {
  const { items } = await client.list(endpointslices, {
    ...inDefault,
    labelSelector: "kubernetes.io/service-name=usual",
  });
  return items.some(({ endpoints }) => endpoints?.some(({ conditions }) => conditions?.ready === true));
}

function runs({ status }: Pod): boolean {
  return status?.containerStatuses?.[0]?.state?.running !== undefined;
}

async function notReadyMessage(client: HttpClient): Promise<string | undefined> {
  const { status } = await client.get(nodes, { name: "two" });
  const ready = conditionOf(status?.conditions, "Ready");
  return ready?.status === "False" ? ready.message : undefined;
}
