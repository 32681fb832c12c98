// Options of `docker run`, seen from inside the container, and what its volumes keep.
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { makeTestFolder } from "../folders.ts";
import { type DockerEngine, startDocker } from "./docker-engine.ts";

let engine: DockerEngine;
const folder = makeTestFolder("docker-options");
before(async () => {
  engine = await startDocker();
});
after(() => engine[Symbol.asyncDispose]());

const run = (options: readonly string[], script: string) =>
  engine.ok(["run", "--rm", ...options, "busybox", "sh", "-c", script]);
const refusal = async (options: readonly string[]) =>
  (await engine.docker(["run", "--rm", ...options, "busybox", "true"])).stderr
    .split("\n")[0]
    ?.replace(/^docker: (?:Error response from daemon: )?/, "");

test("variables, users, folders, names", async () => {
  writeFileSync(join(folder, "env"), "FROM_FILE=yes\n# a note\nSPACED=a b\n");
  deepEqual(
    await Promise.all([
      run(["-e", "ONE=1", "--env-file", join(folder, "env")], "echo $ONE $FROM_FILE $SPACED"),
      run(["-u", "ann"], "id; echo $HOME"),
      run(["-u", "1234:77", "--group-add", "55"], "id -u; id -g; id -G"),
      run(["-w", "/made/here"], "pwd"),
      run(
        ["--hostname", "box", "--domainname", "example.org"],
        "hostname; cat /proc/sys/kernel/domainname; grep -c box.example.org /etc/hosts",
      ),
      run(["--entrypoint", "echo"], "words").then((text) => text),
      run(["--add-host", "db:10.1.2.3", "--add-host", "gate:host-gateway"], "grep -wE 'db|gate' /etc/hosts"),
      run(
        ["--network", "none", "--dns", "10.9.9.9", "--dns-search", "corp", "--dns-option", "ndots:3"],
        "cat /etc/resolv.conf",
      ),
    ]),
    [
      "1 yes a b",
      "uid=1000(ann) gid=1000(ann)\n/home/ann",
      "1234\n77\n77 55",
      "/made/here",
      "box\nexample.org\n1",
      "sh -c words",
      "10.1.2.3\tdb\n172.17.0.1\tgate",
      "nameserver 10.9.9.9\nsearch corp\noptions ndots:3",
    ],
  );
});

test("limits", async () => {
  const file = (name: string) => `cat /sys/fs/cgroup/${name}`;
  const limits = await run(
    [
      "--memory",
      "64m",
      "--cpus",
      "0.5",
      "--pids-limit",
      "20",
      "--ulimit",
      "nofile=100:200",
      "--shm-size",
      "8m",
      "--oom-score-adj",
      "100",
    ],
    `${file("memory/memory.limit_in_bytes")}; ${file("cpu/cpu.cfs_quota_us")}; ${file("pids/pids.max")}; ulimit -n; ulimit -Hn; cat /proc/self/oom_score_adj; mount | grep -c 'shm.*size=8192k'`,
  );
  equal(limits, `${64 << 20}\n50000\n20\n100\n200\n100\n1`);
  match((await refusal(["--memory", "1m"])) ?? "", /Minimum memory limit allowed is 6MB/);
  const killed = await engine.docker([
    "run",
    "--name",
    "hungry",
    "--memory",
    "16m",
    "busybox",
    "sh",
    "-c",
    "head -c 200000000 /dev/zero | tail -n 1 | wc -c",
  ]);
  deepEqual(
    [
      killed.code !== 0 || killed.stdout !== "200000000\n",
      await engine.ok(["inspect", "-f", "{{.State.OOMKilled}}", "hungry"]),
    ],
    [true, "true"],
  );
  await engine.ok(["rm", "hungry"]);
});

test("processors, devices and logs have the limits that were asked for, of containers that run, too", async () => {
  const allowed = "grep Cpus_allowed_list /proc/1/status | cut -f2";
  equal(await run(["--cpuset-cpus", "0", "--cpuset-mems", "0"], allowed), "0");
  await engine.ok(["run", "-d", "--name", "bound", "busybox", "sleep", "1000"]);
  await engine.ok(["update", "--cpuset-cpus", "0", "bound"]);
  equal(await engine.ok(["exec", "bound", "sh", "-c", allowed]), "0");
  await engine.ok(["rm", "-f", "bound"]);
  match((await refusal(["--cpuset-cpus", "9999"])) ?? "", /Requested CPUs are not available - requested 9999/);
  match((await refusal(["--cpus", "9999"])) ?? "", /Range of CPUs is from 0.01/);
  match((await refusal(["--device-write-bps", "/dev/null:1mb"])) ?? "", /written to \/dev\/null: no such block device/);
  const disk = readdirSync("/sys/block").find((name) => existsSync(join("/dev", name)));
  if (disk !== undefined) equal(await run(["--device-write-bps", `/dev/${disk}:1mb`], "echo ran"), "ran");
  const options = ["--name", "chatty", "--log-opt", "max-size=2k", "--log-opt", "max-file=2"];
  await engine.ok([
    "run",
    ...options,
    "busybox",
    "sh",
    "-c",
    "for i in 1 2 3 4 5 6 7 8; do seq 1 300; sleep 0.1; done",
  ]);
  const kept = (await engine.ok(["logs", "chatty"])).split("\n").length;
  ok(kept >= 300 && kept < 8 * 300, `${kept} lines are kept`);
  await engine.ok(["rm", "chatty"]);
});

test("options of a volume's driver say what is mounted there while containers use it", async () => {
  const mine = join(folder, "mine");
  mkdirSync(mine);
  writeFileSync(join(mine, "file"), "mine");
  const bind = ["-o", "type=none", "-o", "o=bind", "-o", `device=${mine}`];
  await engine.ok(["volume", "create", ...bind, "bound"]);
  await engine.ok(["volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=size=1m", "quick"]);
  await engine.ok([
    "run",
    "-d",
    "--name",
    "first",
    "-v",
    "quick:/x",
    "busybox",
    "sh",
    "-c",
    "echo one > /x/a; sleep 1000",
  ]);
  const together = await run(["-v", "quick:/x", "-v", "bound:/y"], "stat -f -c %T /x; cat /y/file; echo; ls /x");
  await engine.ok(["rm", "-f", "first"]);
  const later = await run(["-v", "quick:/x"], "ls /x | wc -l");
  await engine.ok(["volume", "rm", "bound", "quick"]);
  const unknown = await engine.docker(["volume", "create", "-o", "speed=1", "wrong"]);
  deepEqual(
    [together, later, readFileSync(join(mine, "file"), "utf8"), unknown.stderr.trim()],
    ["tmpfs\nmine\na", "0", "mine", 'Error response from daemon: invalid option: "speed": there are type, o, device'],
  );
});

test("privileges", async () => {
  const caps = "grep CapEff /proc/self/status | cut -f2";
  const status = (name: string) => `grep ${name} /proc/self/status | cut -f2`;
  writeFileSync(
    join(folder, "seccomp.json"),
    JSON.stringify({
      defaultAction: "SCMP_ACT_ALLOW",
      syscalls: [{ names: ["mkdir", "mkdirat"], action: "SCMP_ACT_ERRNO" }],
    }),
  );
  deepEqual(
    await Promise.all([
      run([], caps),
      run(["--cap-drop", "ALL", "--cap-add", "net_admin"], caps),
      run(
        ["--privileged"],
        `[ $(${caps}) = $(grep CapBnd /proc/self/status | cut -f2) ] && echo all; test -e /dev/loop-control -o -e /dev/vda -o -e /dev/kmsg && echo devices`,
      ),
      run(["--security-opt", "no-new-privileges"], status("NoNewPrivs")),
      run(["--security-opt", "seccomp=unconfined"], status("Seccomp:")),
      run(["--security-opt", `seccomp=${join(folder, "seccomp.json")}`], "mkdir /tmp/x 2>/dev/null || echo no"),
      run(
        ["--read-only", "--tmpfs", "/scratch:size=1m"],
        "touch /x 2>/dev/null || echo no; touch /scratch/y && echo yes; mount | grep -o 'size=1024k'",
      ),
      run(["--sysctl", "net.ipv4.ip_default_ttl=77"], "cat /proc/sys/net/ipv4/ip_default_ttl"),
      run(["--device", "/dev/null:/dev/mine:r"], "ls -l /dev/mine | cut -c1"),
      run(["--pid", "host"], "[ $$ -gt 5 ] && echo many"),
      run(["--init"], "cat /proc/1/comm; (sleep 0.01 &); echo $$"),
    ]),
    [
      "00000000a80425fb",
      "0000000000001000",
      "all\ndevices",
      "1",
      "0",
      "no",
      "no\nyes\nsize=1024k",
      "77",
      "c",
      "many",
      "docker-init\n2",
    ],
  );
  match((await refusal(["--cap-add", "FLY"])) ?? "", /unknown capability "?\\?"?FLY|invalid capability/);
  match((await refusal(["--security-opt", "colour=blue"])) ?? "", /invalid --security-opt/);
});

test("--init hands signals on and gives the program's exit code", async () => {
  await engine.ok([
    "run",
    "-d",
    "--init",
    "--name",
    "polite",
    "busybox",
    "sh",
    "-c",
    "trap 'exit 42' TERM; while :; do sleep 0.05; done",
  ]);
  await engine.ok(["stop", "-t", "10", "polite"]);
  equal(await engine.ok(["wait", "polite"]), "42");
  await engine.ok(["rm", "polite"]);
});

test("stop takes the container's own signal and time", async () => {
  await engine.ok([
    "run",
    "-d",
    "--name",
    "own",
    "--stop-signal",
    "USR1",
    "--stop-timeout",
    "30",
    "busybox",
    "sh",
    "-c",
    "trap 'exit 9' USR1; while :; do sleep 0.05; done",
  ]);
  await engine.ok(["stop", "own"]);
  equal(await engine.ok(["inspect", "-f", "{{.State.ExitCode}}", "own"]), "9");
  await engine.ok(["rm", "own"]);
});

test("volumes take over what the image has, keep what is written, and go with their container when they have no name", async () => {
  const seen = await run(
    ["-v", "kept:/data"],
    "ls -ln /data | tail -n 1 | cut -c1-10; cat /data/hello; echo more > /data/more; ls -ldn /data | tr -s ' ' | cut -d' ' -f1,3,4",
  );
  const again = await run(
    ["--mount", "type=volume,src=kept,dst=/elsewhere,readonly"],
    "cat /elsewhere/more; touch /elsewhere/x 2>/dev/null || echo read-only",
  );
  const empty = await run(["--mount", "type=volume,dst=/data,volume-nocopy"], "ls /data | wc -l");
  await engine.ok(["run", "-d", "--name", "holder", "-v", "/anonymous", "-v", "kept:/data", "busybox", "sleep", "100"]);
  const shared = await run(
    ["--volumes-from", "holder:ro"],
    "cat /data/more; touch /data/y 2>/dev/null || echo read-only; mount | grep -c /anonymous",
  );
  const inUse = await engine.docker(["volume", "rm", "kept"]);
  await engine.ok(["rm", "-f", "-v", "holder"]);
  deepEqual(
    {
      seen,
      again,
      empty,
      shared,
      inUse: /volume is in use/.test(inUse.stderr),
      left: await engine.ok(["volume", "ls", "-q"]),
    },
    {
      seen: "-rw-r-----\nfrom the image\ndrwxr-x--- 1000 1000",
      again: "more\nread-only",
      empty: "0",
      shared: "more\nread-only\n1",
      inUse: true,
      left: "kept",
    },
  );
  await engine.ok(["volume", "rm", "kept"]);
});

test("bind mounts: folders and files, made by -v alone, read-only", async () => {
  mkdirSync(join(folder, "bound"));
  writeFileSync(join(folder, "bound", "file"), "text\n");
  const text = await run(
    ["-v", `${folder}/bound:/in`, "-v", `${folder}/bound/file:/one:ro`, "-v", `${folder}/made:/made`],
    "cat /in/file /one; echo new > /in/new; echo x 2>/dev/null > /one || echo read-only; ls -d /made",
  );
  const absent = await refusal(["--mount", `type=bind,src=${folder}/absent,dst=/x`]);
  deepEqual(
    {
      text,
      written: readFileSync(join(folder, "bound", "new"), "utf8"),
      absent: /bind source path does not exist/.test(absent ?? ""),
    },
    { text: "text\ntext\nread-only\n/made", written: "new\n", absent: true },
  );
  match((await refusal(["-v", "rel/ative:/x"])) ?? "", /includes invalid characters for a local volume name/);
  match((await refusal(["-v", "/a:/x", "-v", "/b:/x"])) ?? "", /Duplicate mount point: \/x/);
});

test("health checks show in ps, inspect and events", async () => {
  const check = [
    "--health-cmd",
    "test -e /tmp/well",
    "--health-interval",
    "100ms",
    "--health-retries",
    "2",
    "--health-timeout",
    "5s",
  ];
  await engine.ok([
    "run",
    "-d",
    "--name",
    "patient",
    ...check,
    "busybox",
    "sh",
    "-c",
    "sleep 1; touch /tmp/well; sleep 100",
  ]);
  const status = () => engine.ok(["inspect", "-f", "{{.State.Health.Status}}", "patient"]);
  const seen = [await status()];
  for (let tries = 0; seen.at(-1) !== "healthy" && tries < 300; tries++) {
    const now = await status();
    if (now !== seen.at(-1)) seen.push(now);
  }
  const shown = await engine.ok(["ps", "--filter", "health=healthy", "--format", "{{.Names}} {{.Status}}"]);
  await engine.ok(["rm", "-f", "patient"]);
  const events = await engine.ok([
    "events",
    "--since",
    "60s",
    "--until",
    "-1s",
    "--filter",
    "event=health_status",
    "--format",
    "{{.Action}}",
  ]);
  deepEqual(
    { seen, shown: /^patient Up .*\(healthy\)$/.test(shown), events },
    {
      seen: ["starting", "unhealthy", "healthy"],
      shown: true,
      events: "health_status: unhealthy\nhealth_status: healthy",
    },
  );
});
