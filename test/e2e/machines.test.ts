// Machines joined by hand, as docs/guides/backup.md and real-machines.md say: a cluster moves to etcd while its pods run on, and back to a copy
// of what it was; a second server takes over.
import assert from "node:assert/strict";
import { once } from "node:events";
import { cpSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { buildHelloImage } from "../../charts/hello/image/build.ts";
import { debianProgram } from "../tools.ts";
import { naruPath, runProgram } from "./cluster.ts";
import { openMachines } from "./machines.ts";
import { done, until } from "./questions.ts";

interface Seen {
  readonly name: string;
  readonly uid: string;
  readonly restarts: number;
}

test("a cluster moves from SQLite to etcd and back to a copy, and its pods run on", async () => {
  await using machines = await openMachines(["one", "two"]);
  const { place, list } = machines;
  const [one, two] = list;
  assert.ok(one !== undefined && two !== undefined);
  const dataDir = join(place.dataDir, "server");
  const naru = naruWith(dataDir);
  const serve = (...more: readonly string[]) =>
    one.start(naruPath, ["server", "--advertise", one.address, "--data", dataDir, ...more]);
  const end = async (server: ReturnType<typeof serve>) => {
    const ended = once(server, "exit");
    server.kill("SIGTERM");
    await ended;
  };
  const podsReady = (count: number) => untilPods(naru, count);

  let server = serve();
  const token = (await until("a token", () => naru("token"))).trim();
  for (const machine of [one, two]) machine.join(`https://${one.address}:6443`, token);
  await until("two nodes", async () =>
    (await naru("get", "nodes")).match(/ Ready /g)?.length === 2 ? true : undefined,
  );
  await runHello(naru, place.dataDir);
  const before = await podsReady(3);

  await end(server);
  const copy = join(place.dataDir, "copy");
  cpSync(dataDir, copy, { recursive: true });
  one.start(await debianProgram("etcd-server", "usr/bin/etcd"), ["--data-dir", join(place.dataDir, "etcd")]);
  const etcd = "etcd://127.0.0.1:2379";
  const migrate = ["store", "migrate", "--from", `sqlite:${dataDir}/store.db`, "--to", etcd];
  await until("etcd answers", async () => {
    const { code, stderr } = await one.run(naruPath, migrate);
    return code === 0 || stderr.includes("holds objects already") ? true : undefined;
  });
  server = serve("--store", etcd);
  assert.deepEqual(await podsReady(3), before);
  await naru("scale", "deployment/hello", "--replicas", "4", "--wait");
  assert.deepEqual(
    (await podsReady(4)).filter(({ uid }) => before.some((pod) => pod.uid === uid)),
    before,
  );

  await end(server);
  rmSync(dataDir, { recursive: true });
  cpSync(copy, dataDir, { recursive: true });
  server = serve();
  assert.deepEqual(await podsReady(3), before);
});

test("a second server stands by, evicts nothing, and takes over when the first is killed", async () => {
  await using machines = await openMachines(["one", "two", "three"]);
  const { place, list } = machines;
  const [one, two, three] = list;
  assert.ok(one !== undefined && two !== undefined && three !== undefined);
  const urls = [one, two].map(({ address }) => `https://${address}:6443`);
  const etcd = `http://${three.address}:2379`;
  const etcdFolder = ["--data-dir", join(place.dataDir, "etcd")];
  const listening = ["--listen-client-urls", etcd, "--advertise-client-urls", etcd];
  three.start(await debianProgram("etcd-server", "usr/bin/etcd"), [...etcdFolder, ...listening]);
  await until("etcd answers", async () => ((await fetch(`${etcd}/health`)).ok ? true : undefined));
  const serve = (machine: typeof one, dataDir: string) =>
    machine.start(naruPath, [
      ...["server", "--advertise", machine.address, "--data", dataDir],
      ...["--store", etcd.replace("http", "etcd")],
    ]);
  const folders = [join(place.dataDir, "first"), join(place.dataDir, "second")] as const;
  const first = serve(one, folders[0]);
  const naru = naruWith(folders[0]);
  const token = (await until("a token", () => naru("token"))).trim();
  three.join(
    urls[0] ?? "",
    token,
    urls.slice(1).flatMap((url) => ["--server", url]),
  );
  await until("a node", async () => ((await naru("get", "nodes")).includes(" Ready ") ? true : undefined));
  await runHello(naru, place.dataDir);
  const before = await untilPods(naru, 3);

  cpSync(join(folders[0], "pki"), join(folders[1], "pki"), { recursive: true });
  serve(two, folders[1]);
  const other = naruWith(folders[1]);
  await until("the second server answers", () => other("get", "nodes"));
  // What only the first server can ask of a node, the second one asks through it.
  const [name = ""] = before.map((pod) => pod.name);
  const help = await other("exec", name, "--", "/hello", "--help");
  assert.match(help, /hello/i);
  assert.deepEqual(
    [await other("logs", name), help],
    [await naru("logs", name), await naru("exec", name, "--", "/hello", "--help")],
  );
  await assert.rejects(other("exec", name, "--", "/absent"), /no such file or directory/);
  await other("scale", "deployment/hello", "--replicas", "4", "--wait");
  const more = await untilPods(other, 4);
  first.kill("SIGKILL");
  await until("the second server leads", () => other("logs", "deployment/hello"));
  await other("scale", "deployment/hello", "--replicas", "5", "--wait");
  const kept = (await untilPods(other, 5)).filter(({ uid }) => more.some((pod) => pod.uid === uid));
  assert.deepEqual([kept, kept.filter(({ uid }) => before.some((pod) => pod.uid === uid))], [more, before]);
});

type Naru = (...args: readonly string[]) => Promise<string>;

function naruWith(dataDir: string): Naru {
  const env = { ...process.env, KUBECONFIG: join(dataDir, "kubeconfig") };
  return async (...args) => done(await runProgram(naruPath, args, { env }));
}

/** Puts the hello image on the nodes and runs its chart. */
async function runHello(naru: Naru, folder: string): Promise<void> {
  const archive = join(folder, "hello.tar");
  writeFileSync(archive, await buildHelloImage());
  await naru("image", "import", archive);
  await naru("apply", "-f", new URL("../../charts/hello/hello.yaml", import.meta.url).pathname, "--wait");
}

function untilPods(naru: Naru, count: number): Promise<readonly Seen[]> {
  return until(`${count} pods Ready`, async () => {
    const { items } = JSON.parse(await naru("get", "pods", "-o", "json")) as { items: PodLike[] };
    const seen = items.map(({ metadata: { name, uid }, status: { containerStatuses: [status] = [] } }) => ({
      name,
      uid,
      restarts: status?.restartCount ?? -1,
      ready: status?.ready === true,
    }));
    if (seen.length !== count || !seen.every(({ ready }) => ready)) return undefined;
    return seen.map(({ ready: _, ...rest }) => rest).sort((a, b) => a.name.localeCompare(b.name));
  });
}

interface PodLike {
  readonly metadata: { readonly name: string; readonly uid: string };
  readonly status: {
    readonly containerStatuses?: readonly { readonly ready: boolean; readonly restartCount: number }[];
  };
}
