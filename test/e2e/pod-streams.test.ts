// Logs, exec, attach, port-forward and copies, with old and new kubectl and with naru.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { after, before, test } from "node:test";
import { newKubectl, oldKubectl } from "../kubectl.ts";
import { naruPath, type Output, type RunOptions, type TestCluster } from "./cluster.ts";
import { done, until } from "./questions.ts";
import { applyPods, podOf, shell, startShellCluster, untilConditions, untilLogged, untilPod } from "./shell-pods.ts";

type Client = (args: readonly string[], options?: RunOptions) => Promise<Output>;

let cluster: TestCluster;
const clients: Readonly<Record<string, Client>> = {
  "kubectl 1.20": (args, options) => cluster.kubectl("old", args, options),
  "kubectl 1.36": (args, options) => cluster.kubectl("new", args, options),
  naru: (args, options) => cluster.naru(args, options),
};
const programs: Readonly<Record<string, () => string | Promise<string>>> = {
  "kubectl 1.20": oldKubectl,
  "kubectl 1.36": newKubectl,
  naru: () => naruPath,
};

const listens = "httpd -f -p 127.0.0.1:8080 -h /tmp & nc -ll -p 7000 -e cat & wait";

before(async () => {
  cluster = await startShellCluster();
  await applyPods(
    cluster,
    podOf("work", [
      shell("main", `echo hello > /tmp/index.html; ${listens}`),
      // It says what it is told, until it is told no more.
      shell("heard", "cat; echo end; sleep 1000", { stdin: true, stdinOnce: true }),
      shell("kept", "while read line; do echo got $line; done; echo end; sleep 1000", { stdin: true }),
    ]),
    podOf("said", [
      shell("a", "for i in 1 2 3 4 5; do echo a$i; done; sleep 1000"),
      shell("b", "echo b1 >&2; sleep 1000"),
    ]),
    podOf("again", [shell("main", "echo run; date +%s%N > /dev/termination-log; sleep 1; exit 1")]),
    podOf("flood", [shell("main", "seq 1000000; echo last; sleep 1000")]),
  );
  await untilConditions(cluster, "work", { Ready: "True" });
});
after(() => cluster?.[Symbol.asyncDispose]());

test("logs are cut by lines, bytes and time, and told apart", async () => {
  const logs = async (...args: string[]) => done(await cluster.kubectl("new", ["logs", "said", ...args]));
  await untilLogged(cluster, ["said", "a"], (written) => written.endsWith("a5\n"));
  await untilLogged(cluster, ["said", "b"], (written) => written !== "");
  const stamped = (await logs("-c", "a", "--timestamps")).trim().split("\n");
  const third = stamped[2]?.split(" ")[0] ?? "";
  assert.deepEqual(
    {
      tail: await logs("-c", "a", "--tail=2"),
      bytes: await logs("-c", "a", "--limit-bytes=4"),
      old: await logs("-c", "a", "--since=1h", "--tail=1"),
      since: (await logs("-c", "a", `--since-time=${third}`)).endsWith("a3\na4\na5\n"),
      all: (await logs("--all-containers", "--prefix")).trim().split("\n").sort(),
      stamps: stamped.every((line) => /^\d{4}-\d\d-\d\dT[\d:.]+Z a\d$/.test(line)),
      naru: done(await cluster.naru(["logs", "said", "--all-containers", "--tail", "1"]))
        .trim()
        .split("\n")
        .sort(),
    },
    {
      tail: "a4\na5\n",
      bytes: "a1\na",
      old: "a5\n",
      since: true,
      all: [..."12345"].map((n) => `[pod/said/a] a${n}`).concat("[pod/said/b] b1"),
      stamps: true,
      naru: ["said/a a5", "said/b b1"],
    },
  );
});

test("logs of the run before a restart are kept", async () => {
  await untilPod(cluster, "again", {
    what: "restarted",
    accept: ({ status }) => ((status?.containerStatuses?.[0]?.restartCount ?? 0) > 0 ? true : undefined),
  });
  assert.equal(done(await cluster.kubectl("new", ["logs", "again", "--previous"])), "run\n");
});

test("a log that is rotated keeps its end, and is followed across", async () => {
  const written = await untilLogged(cluster, ["flood", "main"], (log) => log.endsWith("last\n"));
  const numbers = written.trim().split("\n").slice(1, -1).map(Number);
  const first = numbers[0] ?? 0;
  assert.deepEqual(
    [numbers.at(-1), numbers.every((n, i) => n === first + i), first > 1, numbers.length > 100_000],
    [1_000_000, true, true, true],
  );
});

for (const [name, run] of Object.entries(clients)) {
  test(`${name}: exec carries input, both outputs and the exit code`, async () => {
    const exec = (script: string, options?: RunOptions) =>
      run(["exec", "-i", "work", "-c", "main", "--", "sh", "-c", script], options);
    const input = "x".repeat(300_000);
    const results = [
      await exec("echo out; echo err >&2; exit 7"),
      await exec("cat | wc -c", { input }),
      await exec("kill -9 $$"),
    ].map(({ code, stdout, stderr }) => [code, stdout, stderr.includes("err")]);
    assert.deepEqual(results, [
      [7, "out\n", true],
      [0, `${input.length}\n`, false],
      [137, "", false],
    ]);
  });

  test(`${name}: cp copies a file and a folder, there and back`, async () => {
    const folder = cluster.place.dataDir;
    const content = "y".repeat(200_000);
    writeFileSync(join(folder, "sent"), content);
    const place = `/tmp/${name.replaceAll(/\W/g, "")}`;
    done(await run(["cp", join(folder, "sent"), `work:${place}`, "-c", "main"]));
    done(await run(["cp", `work:${place}`, join(folder, "back"), "-c", "main"]));
    assert.equal(readFileSync(join(folder, "back"), "utf8"), content);
  });

  test(`${name}: port-forward reaches the pod's loopback address and ends each direction by itself`, async () => {
    const program = (await programs[name]?.()) ?? "";
    const forward = spawn(program, ["port-forward", "pod/work", ":8080", ":7000"], {
      env: { ...process.env, KUBECONFIG: cluster.kubeconfig, HOME: cluster.place.dataDir },
      stdio: ["ignore", "pipe", "inherit"],
    });
    try {
      const ports: Record<string, number> = {};
      for await (const line of createInterface({ input: forward.stdout })) {
        const [, local, remote = ""] = /127\.0\.0\.1:(\d+) -> (\d+)/.exec(line) ?? [];
        if (local !== undefined) ports[remote] = Number(local);
        if (Object.keys(ports).length === 2) break;
      }
      assert.equal(await fetchBody(`http://127.0.0.1:${ports["8080"]}/`), "hello\n");
      const sent = "z".repeat(500_000);
      const socket = connect({ host: "127.0.0.1", port: ports["7000"] ?? 0, allowHalfOpen: true });
      socket.end(sent);
      assert.equal((await text(socket)).length, sent.length);
    } finally {
      const ended = once(forward, "exit");
      forward.kill("SIGINT");
      await ended;
    }
  });
}

test("attach ends the input of a container that reads it once, and of no other", async () => {
  const attach = (container: string, input: string) =>
    cluster
      .kubectl("new", ["attach", "-i", "work", "-c", container], { input, timeoutMs: 2000 })
      .catch(() => undefined);
  await attach("heard", "once\n");
  assert.equal(await untilLogged(cluster, ["work", "heard"], (log) => log.includes("end")), "once\nend\n");
  await attach("kept", "one\n");
  await attach("kept", "two\n");
  assert.equal(await untilLogged(cluster, ["work", "kept"], (log) => log.includes("two")), "got one\ngot two\n");
});

test("kubectl run -i shows all that a short container says, and its exit code", async () => {
  const words = ["run", "brief", "--rm", "-i", "--quiet", "--restart=Never", "--image", "naru.local/shell:1"];
  const { code, stdout } = await cluster.kubectl("new", [...words, "--", "sh", "-c", "echo first; cat; exit 7"], {
    input: "second\n",
  });
  assert.deepEqual([code, stdout], [7, "first\nsecond\n"]);
});

test("naru debug joins a container with tools to a pod", async () => {
  const args = ["debug", "work", "--image", "naru.local/shell:1", "--target", "main"];
  const { code, stdout } = await cluster.naru([...args, "--", "sh", "-c", "cat /proc/1/root/tmp/index.html; exit 3"]);
  assert.deepEqual([code, stdout], [3, "hello\n"]);
});

async function fetchBody(url: string): Promise<string> {
  return until(url, async () => (await fetch(url, { headers: { connection: "close" } })).text());
}
