// docs/guides/backup.md on machines joined by hand: a cluster moves to etcd while its pods run on, and back to a copy of what it was.
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
  const env = { ...process.env, KUBECONFIG: join(dataDir, "kubeconfig") };
  const naru = async (...args: readonly string[]) => done(await runProgram(naruPath, args, { env }));
  const serve = (...more: readonly string[]) =>
    one.start(naruPath, ["server", "--advertise", one.address, "--data", dataDir, ...more]);
  const end = async (server: ReturnType<typeof serve>) => {
    const ended = once(server, "exit");
    server.kill("SIGTERM");
    await ended;
  };
  const podsReady = (count: number) =>
    until(`${count} pods Ready`, async () => {
      const { items } = JSON.parse(await naru("get", "pods", "-o", "json")) as { items: PodLike[] };
      const ready = items.filter(({ status }) => status.containerStatuses?.[0]?.ready === true);
      if (items.length !== count || ready.length !== count) return undefined;
      return ready
        .map(({ metadata, status }): Seen => {
          return { ...metadata, restarts: status.containerStatuses?.[0]?.restartCount ?? -1 };
        })
        .map(({ name, uid, restarts }) => ({ name, uid, restarts }))
        .sort((a, b) => a.name.localeCompare(b.name));
    });

  let server = serve();
  const token = (await until("a token", () => naru("token"))).trim();
  for (const machine of [one, two]) machine.join(`https://${one.address}:6443`, token);
  await until("two nodes", async () =>
    (await naru("get", "nodes")).match(/ Ready /g)?.length === 2 ? true : undefined,
  );
  const archive = join(place.dataDir, "hello.tar");
  writeFileSync(archive, await buildHelloImage());
  await naru("image", "import", archive);
  await naru("apply", "-f", new URL("../../charts/hello/hello.yaml", import.meta.url).pathname, "--wait");
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

interface PodLike {
  readonly metadata: { readonly name: string; readonly uid: string };
  readonly status: {
    readonly containerStatuses?: readonly { readonly ready: boolean; readonly restartCount: number }[];
  };
}
