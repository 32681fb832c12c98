// What every Client must do; run over the in-process one and the one over HTTPS.
import assert from "node:assert/strict";
import { test } from "node:test";
import { configmaps, deployments, namespaces, pods, services } from "../api/kinds/generated/resources.ts";
import type { ConfigMap, Deployment, Namespace, Pod, Service } from "../api/kinds/generated/types.ts";
import { isReason } from "../api/kinds/status.ts";
import type { Client, WatchEvent } from "./client.ts";

export interface ClientUnderTest extends AsyncDisposable {
  readonly client: Client;
}

const map = (name: string, data: Record<string, string> = {}, labels: Record<string, string> = {}): ConfigMap => ({
  metadata: { name, namespace: "default", labels },
  data,
});

const deployment = (name: string): Deployment => ({
  metadata: { name, namespace: "default" },
  spec: {
    replicas: 1,
    selector: { matchLabels: { app: name } },
    template: { metadata: { labels: { app: name } }, spec: { containers: [{ name: "c", image: "hello" }] } },
  },
});

const pod = (name: string): Pod => ({
  metadata: { name, namespace: "default" },
  spec: { containers: [{ name: "c", image: "hello" }] },
});

const inDefault = (name: string) => ({ namespace: "default", name });

export function clientContract(name: string, open: () => Promise<ClientUnderTest>): void {
  const check = (title: string, run: (client: Client) => Promise<void>) =>
    test(`${name}: ${title}`, async () => {
      await using under = await open();
      await run(under.client);
    });

  check("create gives an object identity, and get reads it back", async (client) => {
    const made = await client.create(configmaps, map("a", { x: "1" }));
    const { uid, resourceVersion, creationTimestamp } = made.metadata ?? {};
    assert.ok(uid !== undefined && resourceVersion !== undefined && creationTimestamp !== undefined);
    assert.deepEqual(await client.get(configmaps, inDefault("a")), made);
  });

  check("create refuses doubles, missing namespaces and wrong fields", async (client) => {
    await client.create(configmaps, map("a"));
    const wrong = { ...deployment("d"), spec: { ...deployment("d").spec, replicas: "x" } };
    const words = async (run: Promise<unknown>) =>
      run.then(
        () => "accepted",
        (e: Error) => e.message,
      );
    assert.deepEqual(
      [
        await words(client.create(configmaps, map("a"))),
        await words(client.create(configmaps, { metadata: { name: "a", namespace: "nowhere" } })),
        await words(client.create(deployments, wrong as never)),
        await words(client.get(deployments, inDefault("d"))),
      ],
      [
        'configmaps "a" already exists',
        'namespaces "nowhere" not found',
        'Deployment.apps "d" is invalid: spec.replicas: Invalid value: "x": must be an integer, got a string',
        'deployments.apps "d" not found',
      ],
    );
  });

  check("create makes up a name from generateName", async (client) => {
    const made = await client.create(configmaps, { metadata: { generateName: "gen-", namespace: "default" } });
    assert.match(made.metadata?.name ?? "", /^gen-[a-z0-9]{5}$/);
  });

  check("update refuses an old version with Conflict, and keeps identity", async (client) => {
    const first = await client.create(configmaps, map("a", { x: "1" }));
    const second = await client.update(configmaps, { ...first, data: { x: "2" } });
    assert.deepEqual([second.data, second.metadata?.uid], [{ x: "2" }, first.metadata?.uid]);
    await assert.rejects(client.update(configmaps, { ...first, data: { x: "3" } }), (e) => isReason(e, "Conflict"));
    const third = await client.update(configmaps, map("a", { x: "4" }));
    assert.deepEqual([third.data, third.metadata?.creationTimestamp], [{ x: "4" }, first.metadata?.creationTimestamp]);
  });

  check("update writes nothing when nothing changes", async (client) => {
    const first = await client.create(configmaps, map("a", { x: "1" }));
    const second = await client.update(configmaps, first);
    assert.equal(second.metadata?.resourceVersion, first.metadata?.resourceVersion);
  });

  check("generation counts changes of the spec only", async (client) => {
    const first = await client.create(deployments, deployment("d"));
    const generation = (object: Deployment) => object.metadata?.generation;
    const labelled = await client.patch(deployments, inDefault("d"), {
      type: "merge",
      body: { metadata: { labels: { a: "b" } } },
    });
    const status = await client.updateStatus(deployments, { ...labelled, status: { replicas: 1, readyReplicas: 1 } });
    const scaled = await client.patch(deployments, inDefault("d"), {
      type: "strategic",
      body: { spec: { replicas: 3 } },
    });
    assert.deepEqual([generation(first), generation(labelled), generation(status), generation(scaled)], [1, 1, 1, 2]);
    assert.deepEqual([status.status?.readyReplicas, scaled.status?.readyReplicas, scaled.spec?.replicas], [1, 1, 3]);
  });

  check("updateStatus and update leave each other's part alone", async (client) => {
    const first = await client.create(deployments, deployment("d"));
    const { resourceVersion: _, ...metadata } = first.metadata ?? {};
    const spec = { ...deployment("d").spec, replicas: 9 } as NonNullable<Deployment["spec"]>;
    const status = await client.updateStatus(deployments, { ...first, metadata, spec, status: { replicas: 2 } });
    const main = await client.update(deployments, { ...first, metadata, spec, status: { replicas: 7 } });
    assert.deepEqual([status.spec?.replicas, main.spec?.replicas, main.status?.replicas], [1, 9, 2]);
  });

  check("patch applies JSON patches and scales", async (client) => {
    await client.create(deployments, deployment("d"));
    const op = [{ op: "replace", path: "/spec/template/spec/containers/0/image", value: "other" }];
    const patched = await client.patch(deployments, inDefault("d"), { type: "json", body: op });
    assert.equal(patched.spec?.template.spec?.containers[0]?.image, "other");
    await client.patch(deployments, inDefault("d"), {
      type: "merge",
      subresource: "scale",
      body: { spec: { replicas: 5 } },
    });
    assert.equal((await client.get(deployments, inDefault("d"))).spec?.replicas, 5);
  });

  check("patches that meet are all kept", async (client) => {
    await client.create(configmaps, map("a"));
    const keys = Array.from({ length: 8 }, (_, i) => `k${i}`);
    await Promise.all(
      keys.map((key) => client.patch(configmaps, inDefault("a"), { type: "merge", body: { data: { [key]: "1" } } })),
    );
    assert.deepEqual(Object.keys((await client.get(configmaps, inDefault("a"))).data ?? {}).sort(), keys);
  });

  check("patch applies on the server side and names who is in the way", async (client) => {
    const apply = (manager: string, data: Record<string, string>) =>
      client.patch(configmaps, inDefault("a"), {
        type: "apply",
        fieldManager: manager,
        body: { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "a" }, data },
      });
    await apply("one", { x: "1", y: "1" });
    await assert.rejects(apply("two", { x: "2" }), (e) => isReason(e, "Conflict"));
    const both = await apply("two", { z: "3" });
    const less = await apply("one", { x: "1" });
    assert.deepEqual(
      [both.data, less.data],
      [
        { x: "1", y: "1", z: "3" },
        { x: "1", z: "3" },
      ],
    );
  });

  check("list selects by labels and fields and pages at one revision", async (client) => {
    for (let i = 0; i < 7; i++) await client.create(configmaps, map(`m${i}`, {}, { even: String(i % 2 === 0) }));
    const select = { namespace: "default", labelSelector: "even=true" };
    const first = await client.list(configmaps, { ...select, limit: 2 });
    await client.delete(configmaps, inDefault("m6"));
    await client.create(configmaps, map("m55", {}, { even: "true" }));
    const second = await client.list(configmaps, { ...select, limit: 100, continue: first.continue ?? "" });
    const names = (list: { items: readonly ConfigMap[] }) => list.items.map((item) => item.metadata?.name);
    assert.deepEqual(
      [names(first), names(second)],
      [
        ["m0", "m2"],
        ["m4", "m6"],
      ],
    );
    assert.equal(second.resourceVersion, first.resourceVersion);
    const named = await client.list(configmaps, { fieldSelector: "metadata.name=m1" });
    assert.deepEqual(names(named), ["m1"]);
    await assert.rejects(client.list(configmaps, { fieldSelector: "data.x=1" }), (e) => isReason(e, "BadRequest"));
  });

  check("watch tells what begins and ceases to match", async (client) => {
    const { resourceVersion } = await client.list(configmaps, { namespace: "default" });
    const stop = new AbortController();
    const options = { namespace: "default", labelSelector: "on", resourceVersion };
    const watch = client.watch(configmaps, options, stop.signal);
    await client.create(configmaps, map("a", {}, { on: "1" }));
    await client.create(configmaps, map("b", {}, {}));
    await client.update(configmaps, map("b", {}, { on: "1" }));
    await client.update(configmaps, map("a", {}, {}));
    await client.delete(configmaps, inDefault("b"));
    const seen: string[] = [];
    for await (const event of watch) {
      if (event.type === "BOOKMARK") continue;
      seen.push(`${event.type} ${event.object.metadata?.name}`);
      if (seen.length === 4) break;
    }
    stop.abort();
    assert.deepEqual(seen, ["ADDED a", "ADDED b", "DELETED a", "DELETED b"]);
  });

  check("watch ends when it is aborted", async (client) => {
    const { resourceVersion } = await client.list(configmaps);
    const stop = new AbortController();
    const watch = client.watch(configmaps, { resourceVersion }, stop.signal)[Symbol.asyncIterator]();
    const next: Promise<IteratorResult<WatchEvent<ConfigMap>>> = watch.next();
    stop.abort();
    assert.deepEqual(await next, { done: true, value: undefined });
  });

  check("delete waits for finalizers", async (client) => {
    const made = await client.create(configmaps, {
      metadata: { name: "a", namespace: "default", finalizers: ["example.com/wait"] },
    });
    await client.delete(configmaps, inDefault("a"));
    const marked = await client.get(configmaps, inDefault("a"));
    assert.ok(marked.metadata?.deletionTimestamp !== undefined);
    await client.update(configmaps, { ...marked, metadata: { ...marked.metadata, finalizers: [] } });
    await assert.rejects(client.get(configmaps, inDefault("a")), (e) => isReason(e, "NotFound"));
    await client.create(configmaps, map("a"));
    const uid = made.metadata?.uid ?? "";
    await assert.rejects(client.delete(configmaps, inDefault("a"), { preconditions: { uid } }), (e) =>
      isReason(e, "Conflict"),
    );
  });

  check("delete leaves dependents to the collector by finalizer", async (client) => {
    await client.create(deployments, deployment("d"));
    await client.delete(deployments, inDefault("d"), { propagationPolicy: "Foreground" });
    assert.deepEqual((await client.get(deployments, inDefault("d"))).metadata?.finalizers, ["foregroundDeletion"]);
  });

  check("delete gives a bound pod its time and an unbound one none", async (client) => {
    const [free, held] = [await client.create(pods, pod("free")), await client.create(pods, pod("held"))];
    const bind = { namespace: "default", name: "held", uid: held.metadata?.uid ?? "", node: "n1" };
    assert.deepEqual(await client.bind([bind]), [undefined]);
    await client.delete(pods, inDefault("free"));
    await client.delete(pods, inDefault("held"));
    const waiting = await client.get(pods, inDefault("held"));
    assert.deepEqual(waiting.metadata?.deletionGracePeriodSeconds, 30);
    await client.delete(pods, inDefault("held"), { gracePeriodSeconds: 0 });
    assert.deepEqual((await client.list(pods, { namespace: "default" })).items, []);
    assert.notEqual(free.metadata?.uid, held.metadata?.uid);
  });

  check("bind answers for each pod", async (client) => {
    const made = await client.create(pods, pod("p"));
    const uid = made.metadata?.uid ?? "";
    const outcomes = await client.bind([
      { namespace: "default", name: "p", uid, node: "n1" },
      { namespace: "default", name: "p", uid, node: "n2" },
      { namespace: "default", name: "q", uid, node: "n1" },
    ]);
    assert.deepEqual(
      outcomes.map((error) => error?.message),
      [
        undefined,
        'Operation cannot be fulfilled on pods "p": pod p is already assigned to node "n1"',
        'pods "q" not found',
      ],
    );
    const bound = await client.get(pods, inDefault("p"));
    assert.deepEqual(
      [bound.spec?.nodeName, bound.status?.conditions?.map((c) => `${c.type}=${c.status}`)],
      ["n1", ["PodScheduled=True"]],
    );
    assert.equal((await client.list(pods, { fieldSelector: "spec.nodeName=n1" })).items.length, 1);
  });

  check("services get addresses of their own", async (client) => {
    const service = (name: string): Service => ({
      metadata: { name, namespace: "default" },
      spec: { type: "NodePort", selector: { app: "x" }, ports: [{ port: 80 }] },
    });
    const made = await Promise.all(Array.from({ length: 12 }, (_, i) => client.create(services, service(`s${i}`))));
    const addresses = made.map((s) => s.spec?.clusterIP);
    const ports = made.map((s) => s.spec?.ports?.[0]?.nodePort);
    assert.equal(new Set(addresses).size, 12);
    assert.equal(new Set(ports).size, 12);
    assert.ok(addresses.every((ip) => ip?.startsWith("10.96.") === true));
    const api = await client.get(services, inDefault("kubernetes"));
    assert.equal(api.spec?.clusterIP, "10.96.0.1");
    const taken = { ...service("t"), spec: { ...service("t").spec, clusterIP: addresses[0] ?? "" } };
    await assert.rejects(client.create(services, taken), (e) => isReason(e, "Invalid"));
  });

  check("namespaces stay until they are finalized and take nothing new", async (client) => {
    const made = await client.create(namespaces, { metadata: { name: "short" } });
    assert.deepEqual(
      [made.metadata?.labels, made.spec?.finalizers, made.status?.phase],
      [{ "kubernetes.io/metadata.name": "short" }, ["kubernetes"], "Active"],
    );
    await client.delete(namespaces, { name: "short" });
    const going: Namespace = await client.get(namespaces, { name: "short" });
    assert.equal(going.status?.phase, "Terminating");
    await assert.rejects(client.create(configmaps, { metadata: { name: "a", namespace: "short" } }), {
      message:
        'configmaps "a" is forbidden: unable to create new content in namespace short because it is being terminated',
    });
    await assert.rejects(client.delete(namespaces, { name: "default" }), (e) => isReason(e, "Forbidden"));
  });
}
