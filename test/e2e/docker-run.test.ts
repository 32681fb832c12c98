// `docker run` and what is done with single containers, by the real docker command on a node's socket.
import { deepEqual, equal, match } from "node:assert/strict";
import { spawn } from "node:child_process";
import { after, before, test } from "node:test";
import { type DockerEngine, startDocker } from "./docker-engine.ts";

let engine: DockerEngine;
before(async () => {
  engine = await startDocker();
});
after(() => engine[Symbol.asyncDispose]());

test("run --rm gives both outputs apart and leaves nothing", async () => {
  const { code, stdout, stderr } = await engine.docker([
    "run",
    "--rm",
    "busybox",
    "sh",
    "-c",
    "echo out; echo err >&2",
  ]);
  deepEqual(
    { code, stdout, stderr, left: await engine.ok(["ps", "-aq"]) },
    { code: 0, stdout: "out\n", stderr: "err\n", left: "" },
  );
});

test("run ends with the program's exit code, and 127, 126, 125 when it cannot run", async () => {
  const codes = await Promise.all(
    [["sh", "-c", "exit 3"], ["nowhere"], ["/etc/passwd"]].map(
      async (command) => (await engine.docker(["run", "--rm", "busybox", ...command])).code,
    ),
  );
  const refused = await engine.docker(["run", "--rm", "--ulimit", "wrong=1", "busybox"]);
  deepEqual([...codes, refused.code], [3, 127, 126, 125]);
});

test("run -i passes stdin and its end", async () => {
  const text = "0123456789\n".repeat(50_000);
  const { stdout } = await engine.docker(["run", "--rm", "-i", "busybox", "cat"], { input: text });
  equal(stdout === text, true);
});

test("run -t gives a terminal of the client's size", async () => {
  const answer = await engine.ok(["run", "--rm", "-t", "busybox", "sh", "-c", "tty; test -t 1 && echo yes"]);
  equal(answer, "/dev/pts/0\r\nyes\r");
});

test("logs gives all, the last lines, times, and what comes with -f until the end", async () => {
  const script = "for i in 1 2 3; do echo line $i; done; echo oops >&2; sleep 0.3; echo last";
  await engine.ok(["run", "-d", "--name", "talker", "busybox", "sh", "-c", script]);
  const followed = await engine.docker(["logs", "-f", "talker"]);
  const [tail, timed] = [
    await engine.ok(["logs", "--tail", "1", "talker"]),
    await engine.ok(["logs", "-t", "--tail", "1", "talker"]),
  ];
  const none = await engine.ok(["logs", "--until", "2001-01-01T00:00:00Z", "talker"]);
  deepEqual(
    { stdout: followed.stdout, stderr: followed.stderr, tail, none },
    { stdout: "line 1\nline 2\nline 3\nlast\n", stderr: "oops\n", tail: "last", none: "" },
  );
  match(timed, /^\d{4}-\d\d-\d\dT[\d:.]+Z last$/);
  await engine.ok(["rm", "talker"]);
});

test("a container's life: create, start, pause, unpause, restart, stop, start, kill, rm", async () => {
  const state = () => engine.ok(["inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "life"]);
  const seen: string[] = [];
  const steps = [
    ["create", "--name", "life", "busybox", "sh", "-c", "trap 'exit 7' TERM; while :; do sleep 0.05; done"],
    ...[
      ["start", "life"],
      ["pause", "life"],
      ["unpause", "life"],
      ["restart", "-t", "5", "life"],
    ],
    ...[
      ["stop", "-t", "5", "life"],
      ["start", "life"],
      ["kill", "life"],
    ],
  ];
  for (const step of steps) {
    await engine.ok(step);
    seen.push(`${step[0]}: ${await state()}`);
  }
  await engine.ok(["rm", "life"]);
  const gone = await engine.docker(["inspect", "life"]);
  deepEqual(
    [...seen, gone.code],
    [
      ...["create: created 0", "start: running 0", "pause: paused 0", "unpause: running 0", "restart: running 0"],
      ...["stop: exited 7", "start: running 0", "kill: exited 137", 1],
    ],
  );
});

test("attach hears a container from its first word, several at once, and detaches by keys", async () => {
  await engine.ok(["create", "-it", "--name", "shell", "busybox", "sh"]);
  const attached = spawn("docker", ["attach", "--detach-keys", "ctrl-a", "shell"], {
    env: { ...process.env, DOCKER_HOST: `unix://${engine.socketPath}` },
  });
  attached.kill();
  const script = `(sleep 0.3; printf 'echo $((40+2))\\n'; sleep 0.3; printf '\\001') | timeout 20 ${"docker"} start -ai --detach-keys ctrl-a shell`;
  const typed = await new Promise<string>((resolve, reject) => {
    const child = spawn("script", ["-qec", script, "/dev/null"], {
      env: { ...process.env, DOCKER_HOST: `unix://${engine.socketPath}` },
    });
    let text = "";
    child.stdout.on("data", (bytes: Buffer) => {
      text += bytes.toString();
    });
    child.on("error", reject);
    child.on("close", () => resolve(text));
  });
  match(typed, /42/);
  equal(await engine.ok(["inspect", "-f", "{{.State.Running}}", "shell"]), "true");
  await engine.ok(["rm", "-f", "shell"]);
});

test("ps filters by status, name, label, exit code and ancestor", async () => {
  await engine.ok(["run", "-d", "--name", "web1", "--label", "tier=front", "busybox", "sleep", "100"]);
  await engine.docker(["run", "--name", "job1", "--label", "tier=back", "busybox", "sh", "-c", "exit 5"]);
  const names = (...filters: readonly string[]) =>
    engine.ok(["ps", "-a", "--format", "{{.Names}}", ...filters.flatMap((filter) => ["--filter", filter])]);
  deepEqual(
    [
      await engine.ok(["ps", "--format", "{{.Names}} {{.Status}}"]).then((line) => /^web1 Up /.test(line)),
      ...(await Promise.all([
        ...[
          names("status=exited"),
          names("name=web"),
          names("label=tier=back"),
          names("exited=5"),
          names("status=paused"),
        ],
        ...[names("ancestor=busybox", "label=tier=front")],
      ])),
    ],
    [true, "job1", "web1", "job1", "job1", "", "web1"],
  );
  const wrong = await engine.docker(["ps", "--filter", "colour=red"]);
  match(wrong.stderr, /invalid filter 'colour'/);
  await engine.ok(["rm", "-f", "web1", "job1"]);
});

test("names are unique, renamed, and found by the beginning of an id", async () => {
  const id = await engine.ok(["create", "--name", "first", "busybox"]);
  const taken = await engine.docker(["create", "--name", "first", "busybox"]);
  await engine.ok(["rename", "first", "second"]);
  deepEqual(
    [
      await engine.ok(["inspect", "-f", "{{.Name}}", id.slice(0, 10)]),
      taken.code,
      /already in use by container/.test(taken.stderr),
    ],
    ["/second", 1, true],
  );
  const { stdout } = await engine.docker(["rm", "second"]);
  equal(stdout, "second\n");
});

test("exec runs beside, as another user, elsewhere, with its own variables, stdin and exit code", async () => {
  await engine.ok(["run", "-d", "--name", "host", "-e", "OWN=1", "busybox", "sleep", "100"]);
  const plain = await engine.docker([
    "exec",
    "-u",
    "ann",
    "-w",
    "/tmp",
    "-e",
    "MORE=2",
    "host",
    "sh",
    "-c",
    "id -un; pwd; echo $OWN$MORE; exit 9",
  ]);
  const fed = await engine.docker(["exec", "-i", "host", "sh", "-c", "cat; echo end >&2"], { input: "words\n" });
  const absent = await engine.docker(["exec", "host", "nowhere"]);
  await engine.ok(["exec", "-d", "host", "touch", "/tmp/by-exec"]);
  await engine.ok(["pause", "host"]);
  const paused = await engine.docker(["exec", "host", "true"]);
  await engine.ok(["unpause", "host"]);
  deepEqual(
    {
      plain,
      fed,
      absent: absent.code,
      paused: /is paused, unpause/.test(paused.stderr),
      left: await engine.ok(["exec", "host", "ls", "/tmp"]),
    },
    {
      plain: { code: 9, stdout: "ann\n/tmp\n12\n", stderr: "" },
      fed: { code: 0, stdout: "words\n", stderr: "end\n" },
      absent: 127,
      paused: true,
      left: "by-exec",
    },
  );
  await engine.ok(["rm", "-f", "host"]);
});

test("exec knows users whom the container made itself, and tells of those whom nobody knows", async () => {
  const script = "echo bob:x:55:66::/home/bob:/bin/sh >> /etc/passwd; echo crew:x:77:bob >> /etc/group; sleep 100";
  await engine.ok(["run", "-d", "--name", "peopled", "busybox", "sh", "-c", script]);
  const bob = await engine.ok(["exec", "-u", "bob", "peopled", "sh", "-c", "id; echo $HOME"]);
  const nobody = await engine.docker(["exec", "-u", "eve", "peopled", "true"]);
  await engine.ok(["rm", "-f", "peopled"]);
  deepEqual(
    [bob, nobody.code, /unable to find user eve/.test(nobody.stderr)],
    ["uid=55(bob) gid=66 groups=77(crew)\n/home/bob", 126, true],
  );
});

test("unknown options and modes are refused by name", async () => {
  const refusals = await Promise.all(
    [
      ["--ipc", "container:x"],
      ["--log-driver", "syslog"],
      ["--gpus", "all"],
    ].map(async (option) => (await engine.docker(["create", ...option, "busybox"])).stderr),
  );
  deepEqual(
    refusals.map((text) => /(IpcMode|LogConfig|DeviceRequests)/.exec(text)?.[1]),
    ["IpcMode", "LogConfig", "DeviceRequests"],
  );
});
