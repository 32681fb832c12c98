// What a user does with a cluster: services that answer, updates, logs, exec; with naru and with real kubectls, old and new.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { buildHelloImage } from "../../charts/hello/image/build.ts";
import { naruPath, startCluster, type TestCluster } from "./cluster.ts";
import { web } from "./manifests.ts";
import { done, fetchText, importProbe, isReady, podsOf, readyStatusOf, until, untilReady } from "./questions.ts";

const chart = new URL("../../charts/hello/hello.yaml", import.meta.url).pathname;
let cluster: TestCluster;

before(async () => {
  cluster = await startCluster();
});
after(() => cluster?.[Symbol.asyncDispose]());

test("naru up makes three nodes Ready", async () => {
  const ready = await Promise.all(cluster.nodes.map(({ name }) => readyStatusOf(cluster, name)));
  assert.deepEqual(ready, ["True", "True", "True"]);
});

test("naru apply runs the hello chart, which answers on every node", async () => {
  const { writeFileSync } = await import("node:fs");
  const path = `${cluster.place.dataDir}/hello.tar`;
  writeFileSync(path, await buildHelloImage());
  done(await cluster.naru(["image", "import", path]));
  done(await cluster.naru(["apply", "-f", chart, "--wait"]));
  const pods = await untilReady(cluster, "app.kubernetes.io/name=hello", { count: 3 });
  assert.deepEqual(new Set(pods.map(({ spec }) => spec?.nodeName)), new Set(cluster.nodes.map(({ name }) => name)));
  for (const { address } of cluster.nodes) {
    const text = await until(`NodePort of ${address}`, () => fetchText(`http://${address}:30080/`));
    assert.match(text, /^Hello from pod hello-\S+ on node node-\d\nWelcome to Naru\.\n$/);
  }
});

test("a pod reaches a service by its name and its address", async () => {
  await importProbe(cluster);
  done(await cluster.naru(["apply", "-f", "-"], { input: web({ replicas: 3 }) }));
  await untilReady(cluster, "app=web", { count: 3 });
  const get = (host: string) => cluster.naru(["exec", "deployment/web", "--", "/probe", "get", host, "80"]);
  const address = done(await cluster.kubectl("new", ["get", "svc", "web", "-o", "jsonpath={.spec.clusterIP}"]));
  for (const host of ["web", "web.default", "web.default.svc.cluster.local", address]) {
    const body = await until(`web at ${host}`, async () => {
      const { code, stdout } = await get(host);
      return code === 0 ? stdout : undefined;
    });
    assert.match(body, /^one web-\S+\n$/);
  }
});

test("every pod reaches every other pod, on whichever node", async () => {
  const pods = await podsOf(cluster, "app=web");
  const answers = await Promise.all(
    pods.flatMap((from) =>
      pods.map(async (to) => {
        const { name = "" } = from.metadata ?? {};
        return (await cluster.naru(["exec", name, "--", "/probe", "get", to.status?.podIP ?? "", "8080"])).stdout;
      }),
    ),
  );
  const names = pods.map(({ metadata }) => `one ${metadata?.name}\n`);
  assert.deepEqual(answers, [...names, ...names, ...names]);
});

test("a rolling update fails no request, and undo goes back", async () => {
  const url = `http://${cluster.nodes[0]?.address}:30090/`;
  await until("the service on its NodePort", () => fetchText(url));
  const seen = new Set<string | undefined>();
  let rolling = true;
  const asking = (async () => {
    while (rolling) {
      seen.add((await fetchText(url))?.split(" ")[0]);
      await delay(10);
    }
  })();
  const roll = async (text: string) => {
    done(await cluster.naru(["apply", "-f", "-", "--wait"], { input: web({ replicas: 3, text }) }));
    await until(`only ${text}`, async () => {
      const pods = await podsOf(cluster, "app=web");
      return pods.length === 3 && pods.every(({ spec }) => spec?.containers?.[0]?.args?.includes(text))
        ? true
        : undefined;
    });
  };
  await roll("two");
  assert.match((await fetchText(url)) ?? "", /^two /);
  done(await cluster.naru(["rollout", "undo", "deployment/web"]));
  done(await cluster.naru(["rollout", "status", "deployment/web"]));
  await until("one again", async () => ((await fetchText(url))?.startsWith("one ") ? true : undefined));
  rolling = false;
  await asking;
  assert.deepEqual(seen, new Set(["one", "two"]));
});

test("naru scale changes how many run", async () => {
  done(await cluster.naru(["scale", "deployment/web", "--replicas", "5"]));
  await untilReady(cluster, "app=web", { count: 5 });
  done(await cluster.naru(["scale", "deployment/web", "--replicas", "2"]));
  await untilReady(cluster, "app=web", { count: 2 });
});

test("naru logs prints what was written, and with -f what comes", async () => {
  const pod = (await podsOf(cluster, "app=web")).find(isReady);
  const name = pod?.metadata?.name ?? "";
  const follow = spawn(naruPath, ["logs", "-f", name], { env: { ...process.env, KUBECONFIG: cluster.kubeconfig } });
  try {
    const lines = createInterface({ input: follow.stdout })[Symbol.asyncIterator]();
    assert.equal((await lines.next()).value, "listening on 8080");
    done(await cluster.naru(["exec", name, "--", "/probe", "get", "127.0.0.1", "8080"]));
    let line = "";
    while (!line.includes("HTTP/1.0")) line = String((await lines.next()).value);
    assert.equal(line, "GET / HTTP/1.0");
  } finally {
    follow.kill();
  }
  assert.match(done(await cluster.naru(["logs", name])), /^listening on 8080\n/);
});

test("naru exec passes the exit code and what it is told", async () => {
  assert.equal((await cluster.naru(["exec", "deployment/web", "--", "/probe", "exit", "7"])).code, 7);
  assert.match(done(await cluster.naru(["exec", "deployment/web", "--", "/probe", "host"])), /^web-\S+\n$/);
});

test("naru describe shows a pod with its Events", async () => {
  const name = (await podsOf(cluster, "app=web")).find(isReady)?.metadata?.name ?? "";
  const text = await until("Events of the pod", async () => {
    const output = done(await cluster.naru(["describe", "pod", name]));
    return /Started/.test(output) && /Scheduled/.test(output) ? output : undefined;
  });
  assert.match(text, new RegExp(name));
});

for (const version of ["old", "new"] as const) {
  test(`kubectl (${version}) does what it does with Kubernetes`, async () => {
    const run = async (...args: string[]) => done(await cluster.kubectl(version, args));
    const name = `k-${version}`;
    assert.match(await run("version"), /Server Version/i);
    assert.match(await run("api-resources"), /deployments +deploy +apps\/v1 +true +Deployment/);
    assert.match(await run("explain", "deployment.spec.replicas"), /replicas/);
    const input = web({ name, nodePort: version === "old" ? 30091 : 30092, replicas: 2 });
    assert.match(
      done(await cluster.kubectl(version, ["apply", "-f", "-"], { input })),
      new RegExp(`deployment.apps/${name} created`),
    );
    assert.match(await run("rollout", "status", `deployment/${name}`, "--timeout=60s"), /successfully rolled out/);
    assert.match(await run("get", "pods", "-l", `app=${name}`, "-o", "wide"), /2\/2|1\/1 +Running/);
    await until("the Event of its first pods", async () =>
      /ScalingReplicaSet .*Scaled up replica set \S+ from 0 to 2/.test(await run("describe", `deployment/${name}`))
        ? true
        : undefined,
    );
    await run("scale", `deployment/${name}`, "--replicas=3");
    await until("the Event of one more", async () =>
      /ScalingReplicaSet .*Scaled up replica set \S+ from 2 to 3/.test(await run("describe", `deployment/${name}`))
        ? true
        : undefined,
    );
    await run("wait", `deployment/${name}`, "--for=condition=Available", "--timeout=60s");
    await run("set", "image", `deployment/${name}`, `web=naru.local/probe:2`);
    await run("rollout", "status", `deployment/${name}`, "--timeout=60s");
    await run("rollout", "undo", `deployment/${name}`);
    await run("rollout", "status", `deployment/${name}`, "--timeout=60s");
    await run("rollout", "restart", `deployment/${name}`);
    await run("rollout", "status", `deployment/${name}`, "--timeout=60s");
    await run("label", `deployment/${name}`, "tier=front");
    assert.match(
      await run("get", "deployments", "-l", "tier=front", "-o", "name"),
      new RegExp(`^deployment.apps/${name}\n$`),
    );
    await run("create", "configmap", name, "--from-literal=a=b");
    assert.equal(await run("get", "configmap", name, "-o", "jsonpath={.data.a}"), "b");
    const pod = (await untilReady(cluster, `app=${name}`, { count: 3 }))[0]?.metadata?.name ?? "";
    assert.match(await run("logs", pod), /^listening on 8080\n/);
    assert.equal(await run("exec", pod, "--", "/probe", "host"), `${pod}\n`);
    assert.equal((await cluster.kubectl(version, ["exec", pod, "--", "/probe", "exit", "5"])).code, 5);
    await run("delete", "deployment,service,configmap", name);
    await run("wait", `pod/${pod}`, "--for=delete", "--timeout=60s").catch((error: Error) => {
      // It may be gone before we ask.
      assert.match(error.message, /not found/);
    });
    await until("its pods are gone", async () =>
      (await podsOf(cluster, `app=${name}`)).length === 0 ? true : undefined,
    );
  });
}
