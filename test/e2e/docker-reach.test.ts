// Who reaches the docker door and what: contexts over TLS, copies past hostile links, events, updates.
import { deepEqual, equal, match } from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { parse } from "yaml";
import { makeTestFolder } from "../folders.ts";
import { type DockerEngine, startDocker } from "./docker-engine.ts";

let engine: DockerEngine;
const folder = makeTestFolder("docker-reach");
before(async () => {
  engine = await startDocker(["--docker-listen", "2376"]);
});
after(() => engine[Symbol.asyncDispose]());

interface Kubeconfig {
  readonly clusters: readonly { readonly cluster: Readonly<Record<string, string>> }[];
  readonly users: readonly { readonly user: Readonly<Record<string, string>> }[];
}

test("a context over TLS with an administrator's certificate does all that the socket does; others get nothing", async () => {
  const { clusters, users } = parse(readFileSync(engine.cluster.kubeconfig, "utf8")) as Kubeconfig;
  const pem = (text: string | undefined) => Buffer.from(text ?? "", "base64").toString();
  const files = {
    ca: pem(clusters[0]?.cluster["certificate-authority-data"]),
    cert: pem(users[0]?.user["client-certificate-data"]),
    key: pem(users[0]?.user["client-key-data"]),
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, `${name}.pem`), text, { mode: 0o600 });
  const host = `tcp://${engine.cluster.nodes[0]?.address}:2376`;
  const words = ["ca", "cert", "key"].map((name) => `${name}=${join(folder, name)}.pem`);
  await engine.ok(["context", "create", "node", "--docker", `host=${host},${words.join(",")}`]);
  const ran = await engine.ok(["--context", "node", "run", "--rm", "-i", "busybox", "cat"], {
    input: "over TLS\n",
    withoutHost: true,
  });
  const nobody = await engine.docker(["-H", host, "--tls", "version"], { withoutHost: true });
  // A node's own certificate is of the same authority, and no administrator's.
  const identity = join(engine.cluster.place.dataDir, "node-1", "identity");
  const own = ["--tlsverify", "--tlscacert", join(folder, "ca.pem"), ...nodeFiles(identity)];
  const node = await engine.docker(["-H", host, ...own, "ps"], { withoutHost: true });
  deepEqual([ran, nobody.code, node.code], ["over TLS", 1, 1]);
  match(node.stderr, /organization is not system:masters/);
});

function nodeFiles(identity: string): readonly string[] {
  const own = JSON.parse(readFileSync(join(identity, "identity.json"), "utf8")) as Readonly<Record<string, string>>;
  writeFileSync(join(folder, "node-cert.pem"), own["certificatePem"] ?? "");
  writeFileSync(join(folder, "node-key.pem"), own["keyPem"] ?? "", { mode: 0o600 });
  return ["--tlscert", join(folder, "node-cert.pem"), "--tlskey", join(folder, "node-key.pem")];
}

test("cp stays within the container, whatever its links say and while they move", async () => {
  const secret = join(folder, "secret");
  mkdirSync(secret);
  writeFileSync(join(secret, "hello"), "the machine's\n");
  const swap = `mkdir /real; echo inner > /real/hello; while :; do rm -rf /moving; ln -s ${secret} /moving; rm -rf /moving; mkdir /moving; echo inner > /moving/hello; done`;
  await engine.ok([
    "run",
    "-d",
    "--name",
    "hostile",
    "busybox",
    "sh",
    "-c",
    `ln -s ${secret} /out; ln -s ../../../../../../../../${secret} /up; ${swap}`,
  ]);
  await sleep(200);
  const taken: string[] = [];
  for (const path of ["/out/hello", "/up/hello", ...Array.from({ length: 20 }, () => "/moving/hello")]) {
    const { code, stdout } = await engine.docker(["cp", `hostile:${path}`, "-"]);
    if (code === 0) taken.push(stdout);
  }
  writeFileSync(join(folder, "planted"), "planted\n");
  for (const path of ["/out/", "/moving/", "/up/"])
    await engine.docker(["cp", join(folder, "planted"), `hostile:${path}`]);
  await engine.ok(["rm", "-f", "hostile"]);
  deepEqual(
    { leaked: taken.filter((text) => text.includes("the machine's")), planted: existsSync(join(secret, "planted")) },
    { leaked: [], planted: false },
  );
});

test("cp follows Docker's rules for files, folders, links and names", async () => {
  await engine.ok(["create", "--name", "box", "busybox", "sleep", "100"]);
  mkdirSync(join(folder, "tree", "below"), { recursive: true });
  writeFileSync(join(folder, "tree", "below", "leaf"), "leaf\n");
  symlinkSync("below/leaf", join(folder, "tree", "link"));
  await engine.ok(["cp", `${folder}/tree`, "box:/tmp"]);
  await engine.ok(["cp", `${folder}/tree/.`, "box:/home"]);
  await engine.ok(["cp", `${folder}/tree/below/leaf`, "box:/tmp/renamed"]);
  await engine.ok(["start", "box"]);
  const into = await engine.docker(["cp", `${folder}/tree`, "box:/absent/deeper"]);
  await engine.ok(["cp", "box:/data", `${folder}/data`]);
  await engine.ok(["cp", "-L", "box:/bin/sh", `${folder}/shell`]);
  const inside = await engine
    .ok(["run", "--rm", "--volumes-from", "box", "busybox", "true"])
    .then(() => engine.ok(["diff", "box"]));
  deepEqual(
    {
      into: into.code,
      data: readFileSync(join(folder, "data", "hello"), "utf8"),
      shell: readFileSync(join(folder, "shell")).length > 100_000,
      added: inside
        .split("\n")
        .filter((line) => line.startsWith("A"))
        .toSorted(),
    },
    {
      into: 1,
      data: "from the image\n",
      shell: true,
      added: [
        "A /home/below",
        "A /home/below/leaf",
        "A /home/link",
        "A /tmp/renamed",
        "A /tmp/tree",
        "A /tmp/tree/below",
        "A /tmp/tree/below/leaf",
        "A /tmp/tree/link",
      ],
    },
  );
  await engine.ok(["rm", "-f", "box"]);
});

test("cp reaches the volumes and folders of a container that does not run", async () => {
  const bound = join(folder, "bound");
  mkdirSync(bound);
  writeFileSync(join(folder, "given"), "given\n");
  await engine.ok([
    ...["create", "--name", "still", "-v", "kept:/data", "-v", `${bound}:/bound`, "-v", `${bound}:/fixed:ro`],
    ...["busybox", "cat", "/data/given", "/bound/given"],
  ]);
  await engine.ok(["cp", join(folder, "given"), "still:/data/"]);
  await engine.ok(["cp", join(folder, "given"), "still:/bound"]);
  const refused = await engine.docker(["cp", join(folder, "given"), "still:/fixed/"]);
  await engine.ok(["cp", "still:/data", join(folder, "data-out")]);
  await engine.ok(["cp", "still:/data/.", join(folder, "bound")]);
  deepEqual(
    {
      ran: await engine.ok(["start", "-a", "still"]),
      bound: readFileSync(join(bound, "given"), "utf8"),
      out: readFileSync(join(folder, "data-out", "hello"), "utf8"),
      contents: readFileSync(join(bound, "hello"), "utf8"),
      own: (await engine.ok(["diff", "still"])).includes("given"),
    },
    { ran: "given\ngiven", bound: "given\n", out: "from the image\n", contents: "from the image\n", own: false },
  );
  match(refused.stderr, /marked read-only/);
  await engine.ok(["rm", "still"]);
  await engine.ok(["volume", "rm", "kept"]);
});

test("events come as they happen, filtered, and from the past", async () => {
  const child = spawn("docker", [
    "-H",
    `unix://${engine.socketPath}`,
    "events",
    "--filter",
    "container=seen",
    "--format",
    "{{.Action}}",
  ]);
  let heard = "";
  child.stdout.on("data", (bytes: Buffer) => {
    heard += bytes.toString();
  });
  await sleep(300);
  await engine.ok(["run", "--rm", "--name", "other", "busybox", "true"]);
  await engine.docker(["run", "--name", "seen", "busybox", "sh", "-c", "exit 3"]);
  await engine.ok(["rm", "seen"]);
  for (let tries = 0; !heard.includes("destroy") && tries < 100; tries++) await sleep(20);
  child.kill();
  const past = await engine.ok([
    "events",
    "--since",
    "10m",
    "--until",
    "-1s",
    "--filter",
    "container=seen",
    "--filter",
    "event=die",
    "--format",
    "{{.Actor.Attributes.exitCode}}",
  ]);
  deepEqual([heard.trim().split("\n"), past], [["create", "attach", "start", "die", "destroy"].toSorted(byLife), "3"]);
});

// The client is attached before the start; that it is told of the two is all that counts.
function byLife(a: string, b: string): number {
  const order = ["create", "start", "attach", "die", "destroy"];
  return order.indexOf(a) - order.indexOf(b);
}

test("update changes limits and policies; top, stats and size tell of them", async () => {
  await engine.ok([
    "run",
    "-d",
    "--name",
    "grown",
    "--memory",
    "32m",
    "busybox",
    "sh",
    "-c",
    "echo 12345 > /written; sleep 100; true",
  ]);
  await engine.ok([
    "update",
    "--memory",
    "64m",
    "--memory-swap",
    "128m",
    "--pids-limit",
    "50",
    "--cpuset-cpus",
    "0",
    "--restart",
    "always",
    "grown",
  ]);
  const stats = await engine.ok(["stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}} {{.PIDs}}", "grown"]);
  const top = await engine.ok(["top", "grown", "-o", "pid,comm"]);
  const allowed = await engine.ok(["exec", "grown", "grep", "Cpus_allowed_list", "/proc/self/status"]);
  const shown = await engine.ok([
    "inspect",
    "-s",
    "-f",
    "{{.HostConfig.Memory}} {{.HostConfig.RestartPolicy.Name}} {{.SizeRw}}",
    "grown",
  ]);
  match(stats, /^grown [\d.]+\w+ \/ 64MiB 2$/);
  match(top, /^PID\s+COMMAND\n\d+\s+sh\n\d+\s+sleep$/);
  equal(shown, `${64 << 20} always 6`);
  match(allowed, /^Cpus_allowed_list:\s+0$/);
  match((await engine.docker(["update", "--cpuset-cpus", "9999", "grown"])).stderr, /CPUs are not available/);
  await engine.ok(["rm", "-f", "grown"]);
});
