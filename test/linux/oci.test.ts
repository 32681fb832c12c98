// naru-oci against the OCI runtime specification: what its documents say a runtime must do, seen from inside and outside.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { commands } from "../../node-agent/oci/commands.ts";
import { type Bundles, type Config, openBundles } from "./bundle.ts";

type Change = (config: Config) => void;

/** Runs a script as the container's program; its output in lines. */
function output(bundles: Bundles, name: string, script: string, change?: Change): readonly string[] {
  const bundle = bundles.bundle(name, script, change);
  const { stdout, stderr } = bundles.oci(["run", "--bundle", bundle, name]);
  return `${stdout}${stderr}`.trimEnd().split("\n");
}

// Script, change of the config, output. What config.md and config-linux.md ask for.
const cases: readonly (readonly [title: string, script: string, change: Change, expected: readonly string[]])[] = [
  [
    "process.user, additionalGids and umask",
    "id -u; id -g; id -G; touch /out/mask; stat -c %a /out/mask",
    ({ process }) => {
      process["user"] = { uid: 12, gid: 34, umask: 0o27, additionalGids: [56, 78] };
    },
    ["12", "34", "34 56 78", "640"],
  ],
  [
    "process.env and cwd",
    "echo $COLOUR; readlink /proc/self/cwd",
    ({ process }) => {
      process["env"] = ["PATH=/bin", "COLOUR=blue"];
      process["cwd"] = "/bin";
    },
    ["blue", "/bin"],
  ],
  [
    "process.rlimits",
    "grep 'open files' /proc/self/limits",
    ({ process }) => {
      process["rlimits"] = [{ type: "RLIMIT_NOFILE", soft: 100, hard: 200 }];
    },
    ["Max open files            100                  200                  files"],
  ],
  [
    "process.capabilities",
    "grep Cap /proc/self/status",
    ({ process }) => {
      process["user"] = { uid: 5, gid: 5 };
      const kill = ["CAP_KILL"];
      process["capabilities"] = {
        bounding: [...kill, "CAP_CHOWN"],
        effective: kill,
        permitted: kill,
        inheritable: kill,
        ambient: kill,
      };
    },
    ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"].map(
      (name) => `${name}:\t00000000000000${name === "CapBnd" ? "21" : "20"}`,
    ),
  ],
  [
    "process.noNewPrivileges and oomScoreAdj",
    "grep NoNew /proc/self/status; cat /proc/self/oom_score_adj",
    ({ process }) => {
      process["noNewPrivileges"] = true;
      process["oomScoreAdj"] = 321;
    },
    ["NoNewPrivs:\t1", "321"],
  ],
  [
    "hostname and domainname",
    "hostname; cat /proc/sys/kernel/domainname",
    (config) => {
      config["hostname"] = "harbour";
      config["domainname"] = "sea";
    },
    ["harbour", "sea"],
  ],
  [
    "root.readonly",
    "touch /file 2>&1; touch /out/file && echo out",
    ({ root }) => {
      root["readonly"] = true;
    },
    ["touch: /file: Read-only file system", "out"],
  ],
  [
    "mounts in their order, with their options",
    "grep -E ' /(deep|deep/er) ' /proc/self/mountinfo | cut -d' ' -f5,6",
    ({ mounts }) => {
      mounts.push({ destination: "/deep", type: "tmpfs", source: "tmpfs", options: ["nosuid", "noexec", "size=1m"] });
      mounts.push({ destination: "/deep/er", type: "tmpfs", source: "tmpfs", options: ["ro"] });
    },
    ["/deep rw,nosuid,noexec,relatime", "/deep/er ro,relatime"],
  ],
  [
    "a mount with what was there before",
    "cat /bin2/note 2>/dev/null; ls /bin | grep -c busybox",
    ({ mounts }) => {
      mounts.push({ destination: "/bin", type: "tmpfs", source: "tmpfs", options: ["tmpcopyup"] });
    },
    ["1"],
  ],
  [
    "devices",
    "stat -c '%t %T %a %u %g' /dev/fuse; (exec 3<>/dev/full) && echo opened; ls /dev/fd /dev/stdin /dev/ptmx | grep -c ^/dev",
    ({ linux }) => {
      linux["devices"] = [{ path: "/dev/fuse", type: "c", major: 10, minor: 229, fileMode: 0o640, uid: 7, gid: 8 }];
    },
    ["a e5 640 7 8", "opened", "3"],
  ],
  [
    "named pipes and propagation of new file systems",
    "stat -c '%F %a' /dev/pipe; grep -cE ' /(shared) .* shared:' /proc/self/mountinfo; grep -E ' /alone ' /proc/self/mountinfo | cut -d' ' -f7",
    ({ linux, mounts }) => {
      linux["devices"] = [{ path: "/dev/pipe", type: "p", fileMode: 0o600 }];
      mounts.push({ destination: "/shared", type: "tmpfs", source: "tmpfs", options: ["rshared"] });
      mounts.push({ destination: "/alone", type: "bind", source: "/bin", options: ["rbind", "runbindable"] });
    },
    ["fifo 600", "1", "unbindable"],
  ],
  [
    "a filter that forbids what only a runtime needs",
    "echo alive",
    ({ linux }) => {
      const names = ["close_range", "dup3", "sendto", "sendmsg", "openat2"];
      linux["seccomp"] = { defaultAction: "SCMP_ACT_ALLOW", syscalls: [{ names, action: "SCMP_ACT_KILL_PROCESS" }] };
    },
    ["alive"],
  ],
  [
    "maskedPaths and readonlyPaths",
    "cat /proc/timer_list; touch /proc/sys/kernel/hostname 2>&1; ls /sys/firmware",
    ({ linux }) => {
      linux["maskedPaths"] = ["/proc/timer_list", "/sys/firmware"];
      linux["readonlyPaths"] = ["/proc/sys"];
    },
    ["touch: /proc/sys/kernel/hostname: Read-only file system"],
  ],
  [
    "sysctl",
    "cat /proc/sys/net/core/somaxconn /proc/sys/kernel/shmmni",
    ({ linux }) => {
      linux["sysctl"] = { "net.core.somaxconn": "777", "kernel.shmmni": "99" };
    },
    ["777", "99"],
  ],
  [
    "seccomp",
    "mkdir /out/denied 2>&1; touch /out/allowed && echo allowed",
    ({ linux }) => {
      linux["seccomp"] = {
        defaultAction: "SCMP_ACT_ALLOW",
        architectures: ["SCMP_ARCH_X86_64"],
        syscalls: [{ names: ["mkdir", "mkdirat"], action: "SCMP_ACT_ERRNO", errnoRet: 28 }],
      };
    },
    ["mkdir: can't create directory '/out/denied': No space left on device", "allowed"],
  ],
  [
    "rootfsPropagation",
    "grep -cv shared: /proc/self/mountinfo",
    ({ linux }) => {
      linux["rootfsPropagation"] = "shared";
    },
    ["0"],
  ],
  [
    "time namespace",
    "cut -d. -f1 /proc/uptime | grep -cE '^[0-9]{7,}$'",
    ({ linux }) => {
      (linux["namespaces"] as object[]).push({ type: "time" });
      linux["timeOffsets"] = { boottime: { secs: 9_000_000 } };
    },
    ["1"],
  ],
  ["no file of the runtime", "ls /proc/self/fd | wc -l", () => {}, ["4"]],
];

test("what config.json asks for is there run", async (t) => {
  using bundles = await openBundles();
  for (const [i, [title, script, change, expected]] of cases.entries())
    await t.test(title, () => assert.deepEqual(output(bundles, `case-${i}`, script, change), expected));
});

test("a container goes from created to running to stopped to gone create, start, state, kill, delete", async () => {
  using bundles = await openBundles();
  const bundle = bundles.bundle("a", "echo started; sleep 1000");
  const pidFile = join(bundles.out, "pid");
  const statuses: (string | undefined)[] = [bundles.status("a")];
  const refusals: string[] = [];
  const refused = (...args: readonly string[]) => refusals.push(bundles.oci(args).stderr.trim());
  await bundles.leave(["create", "--bundle", bundle, "--pid-file", pidFile, "a"]);
  statuses.push(bundles.status("a"));
  const { pid, ...state } = JSON.parse(bundles.oci(["state", "a"]).stdout) as { pid: number; created: string };
  refused("create", "--bundle", bundle, "a");
  refused("delete", "a");
  bundles.oci(["start", "a"]);
  statuses.push(bundles.status("a"));
  refused("start", "a");
  const listed = JSON.parse(bundles.oci(["list", "--format", "json"]).stdout) as { id: string; pid: number }[];
  bundles.oci(["kill", "a", "KILL"]);
  await bundles.until(() => bundles.status("a") === "stopped");
  statuses.push(bundles.status("a"));
  refused("kill", "a");
  refused("exec", "a", "id");
  bundles.oci(["delete", "a"]);
  statuses.push(bundles.status("a"));
  refused("delete", "a");
  assert.deepEqual(
    {
      statuses,
      refusals,
      state: { ...state, created: "" },
      pids: [readFileSync(pidFile, "utf8"), listed.map((one) => [one.id, one.pid])],
      left: readdirSync(bundles.root),
      cgroup: existsSync(`/sys/fs/cgroup/memory${bundles.cgroup}/a`),
    },
    {
      statuses: [undefined, "created", "running", "stopped", undefined],
      refusals: [
        "naru-oci: container a exists already",
        "naru-oci: container a is created, only a stopped one can be deleted",
        "naru-oci: container a is running, only a created one can be started",
        "naru-oci: container not running",
        "naru-oci: cannot exec in a stopped container",
        "naru-oci: container a does not exist",
      ],
      state: { ociVersion: "1.3.0", id: "a", status: "created", bundle, created: "" },
      pids: [String(pid), [["a", pid]]],
      left: [],
      cgroup: false,
    },
  );
});

test("a container without a process is made, and not started create, start", async () => {
  using bundles = await openBundles();
  const bundle = bundles.bundle("n", "true", (config) => {
    Reflect.deleteProperty(config, "process");
  });
  const { exitCode } = await bundles.leave(["create", "--bundle", bundle, "n"]);
  const { stderr } = bundles.oci(["start", "n"]);
  assert.deepEqual(
    [exitCode, stderr, bundles.status("n")],
    [0, "naru-oci: process: a container without one cannot be started\n", "created"],
  );
});

test("hooks run in their order, where they belong, with the container's state create, start, delete", async () => {
  using bundles = await openBundles();
  const log = join(bundles.out, "log");
  const hook = (name: string, place: string) => ({
    path: "/bin/sh",
    args: ["sh", "-c", `read -r state; echo "${name} $(readlink /proc/self/ns/mnt) $state" >> ${place}/log`],
    env: ["PATH=/bin:/usr/bin"],
    timeout: 10,
  });
  const bundle = bundles.bundle("h", "echo program >> /out/log; sleep 1000", (config) => {
    config["annotations"] = { colour: "blue" };
    const outside = ["prestart", "createRuntime", "createContainer", "poststart", "poststop"] as const;
    const hooks = Object.fromEntries(outside.map((name) => [name, [hook(name, bundles.out)]]));
    config["hooks"] = { ...hooks, startContainer: [hook("startContainer", "/out")] };
  });
  await bundles.leave(["create", "--bundle", bundle, "h"]);
  const { pid } = JSON.parse(bundles.oci(["state", "h"]).stdout) as { pid: number };
  const created = readFileSync(log, "utf8").split("\n").length - 1;
  const inside = readlinkSync(`/proc/${pid}/ns/mnt`);
  bundles.oci(["start", "h"]);
  bundles.oci(["delete", "--force", "h"]);
  const lines = readFileSync(log, "utf8").trim().split("\n");
  const seen = lines.map((line) => {
    const [name = "", namespace, ...rest] = line.split(" ");
    if (name === "program") return [name];
    const state = JSON.parse(rest.join(" ")) as { status: string; pid?: number; annotations: object };
    return [name, namespace === inside ? "inside" : "outside", state.status, state.pid === pid, state.annotations];
  });
  const annotations = { colour: "blue" };
  const programs = seen.filter(([name]) => name === "program").length;
  assert.deepEqual(
    [created, programs, seen.filter(([name]) => name !== "program")],
    [
      3,
      1,
      [
        ["prestart", "outside", "creating", true, annotations],
        ["createRuntime", "outside", "creating", true, annotations],
        ["createContainer", "inside", "created", true, annotations],
        ["startContainer", "inside", "created", true, annotations],
        ["poststart", "outside", "running", true, annotations],
        ["poststop", "outside", "stopped", false, annotations],
      ],
    ],
  );
});

test("a hook that fails or does not end leaves nothing behind create", async () => {
  using bundles = await openBundles();
  const failures: string[] = [];
  for (const name of ["createRuntime", "createContainer"])
    for (const [kind, script] of [
      ["fails", "echo broken >&2; exit 3"],
      ["hangs", "sleep 100"],
    ] as const) {
      const bundle = bundles.bundle(`${name}-${kind}`, "true", (config) => {
        config["hooks"] = { [name]: [{ path: "/bin/sh", args: ["sh", "-c", script], timeout: 1 }] };
      });
      failures.push(bundles.oci(["create", "--bundle", bundle, "x"]).stderr.trim());
    }
  assert.deepEqual(
    [failures, readdirSync(bundles.root)],
    [
      [
        "naru-oci: hook /bin/sh ended with 3: broken",
        "naru-oci: hook /bin/sh: ran longer than 1000 ms",
        "naru-oci: hook /bin/sh ended with 3: broken: operation canceled",
        "naru-oci: hook /bin/sh: ran longer than 1000 ms: connection timed out",
      ],
      [],
    ],
  );
});

test("namespaces are joined by their paths create", async () => {
  using bundles = await openBundles();
  const kinds = { network: "net", ipc: "ipc", uts: "uts", pid: "pid", cgroup: "cgroup" } as const;
  await bundles.leave(["run", "--detach", "--bundle", bundles.bundle("first", "sleep 1000"), "first"]);
  const pidOf = (id: string) => (JSON.parse(bundles.oci(["state", id]).stdout) as { pid: number }).pid;
  const first = pidOf("first");
  const bundle = bundles.bundle("second", "sleep 1000", (config) => {
    delete config["hostname"];
    config.linux["namespaces"] = [
      { type: "mount" },
      ...Object.entries(kinds).map(([type, file]) => ({ type, path: `/proc/${first}/ns/${file}` })),
    ];
  });
  await bundles.leave(["run", "--detach", "--bundle", bundle, "second"]);
  const links = (pid: number) =>
    [...Object.values(kinds), "mnt"].map((file) => readlinkSync(`/proc/${pid}/ns/${file}`));
  const [a, b] = [links(first), links(pidOf("second"))];
  assert.deepEqual(
    a.map((link, i) => link === b[i]),
    [true, true, true, true, true, false],
  );
});

test("exec takes the container's settings, its own, or a file with all of them exec", async () => {
  using bundles = await openBundles();
  await bundles.leave(["run", "--detach", "--bundle", bundles.bundle("e", "sleep 1000"), "e"]);
  const file = join(bundles.out, "process.json");
  const wanted = {
    cwd: "/bin",
    args: ["sh", "-c", "id -u; readlink /proc/self/cwd; grep CapEff /proc/self/status"],
    user: { uid: 9, gid: 9 },
  };
  writeFileSync(file, JSON.stringify({ ...wanted, env: ["PATH=/bin"] }));
  const pidFile = join(bundles.out, "exec-pid");
  const detached = await bundles.leave(["exec", "--detach", "--pid-file", pidFile, "e", "sleep", "1000"]);
  const listed = JSON.parse(bundles.oci(["ps", "--format", "json", "e"]).stdout) as number[];
  assert.deepEqual(
    [
      bundles.oci(
        ["exec", "e", "sh", "-c", "cat; grep -E 'CapEff|Seccomp:|NoNew' /proc/self/status; exit 42"],
        "typed\n",
      ),
      bundles.oci([
        "exec",
        "--user",
        "3:4",
        "--cwd",
        "/out",
        "--env",
        "A=b",
        "e",
        "sh",
        "-c",
        "id -u; id -g; echo $A; readlink /proc/self/cwd",
      ]).stdout,
      bundles.oci(["exec", "--process", file, "e"]).stdout,
      bundles.oci(["exec", "e", "nowhere"]),
      [detached.exitCode, listed.includes(Number(readFileSync(pidFile, "utf8"))), listed.length],
    ],
    [
      { exitCode: 42, stdout: "typed\nCapEff:\t00000000a80425fb\nNoNewPrivs:\t1\nSeccomp:\t0\n", stderr: "" },
      "3\n4\nb\n/out\n",
      "9\n/bin\nCapEff:\t0000000000000000\n",
      { exitCode: 1, stdout: "", stderr: 'naru-oci: exec: "nowhere": executable file not found in $PATH\n' },
      [0, true, 2],
    ],
  );
});

test("runs where it is told exec --process", async () => {
  using bundles = await openBundles();
  await bundles.leave(["run", "--detach", "--bundle", bundles.bundle("x", "sleep 1000"), "x"]);
  const file = join(bundles.out, "process.json");
  writeFileSync(
    file,
    JSON.stringify({
      cwd: "/",
      args: ["grep", "Cpus_allowed_list", "/proc/self/status"],
      env: ["PATH=/bin"],
      execCPUAffinity: { initial: "0-1", final: "1" },
    }),
  );
  assert.equal(bundles.oci(["exec", "--process", file, "x"]).stdout, "Cpus_allowed_list:\t1\n");
});

test("a hook behind the start that fails ends the container start", async () => {
  using bundles = await openBundles();
  const bundle = bundles.bundle("p", "sleep 1000", (config) => {
    config["hooks"] = { poststart: [{ path: "/bin/sh", args: ["sh", "-c", "echo broken >&2; exit 3"] }] };
  });
  await bundles.leave(["create", "--bundle", bundle, "p"]);
  const { exitCode, stderr } = bundles.oci(["start", "p"]);
  await bundles.until(() => bundles.status("p") === "stopped");
  assert.deepEqual([exitCode, stderr], [1, "naru-oci: hook /bin/sh ended with 3: broken\n"]);
});

test("programs of the image that run before the start may do what the container may hooks.startContainer", async () => {
  using bundles = await openBundles();
  const script = "(id -u; grep CapEff /proc/self/status) > /out/seen";
  const bundle = bundles.bundle("h", "cat /out/seen", (config) => {
    config.process["user"] = { uid: 5, gid: 5 };
    config.process["capabilities"] = {};
    config["hooks"] = { startContainer: [{ path: "/bin/sh", args: ["sh", "-c", script], env: ["PATH=/bin"] }] };
  });
  assert.equal(bundles.oci(["run", "--bundle", bundle, "h"]).stdout, "5\nCapEff:\t0000000000000000\n");
});

test("a container whose processes nobody waits for is gone all the same delete", async () => {
  using bundles = await openBundles();
  const steps = [
    ["run", "--detach", "--bundle", bundles.bundle("z", "sleep 1000"), "z"],
    ["exec", "--detach", "z", "sleep", "1000"],
    ["delete", "--force", "z"],
  ].map((args) => bundles.command(args));
  // Its orphans are this program's, which is the first of a pid namespace and takes no notice of them.
  const script = `for (const args of ${JSON.stringify(steps)})
    console.log(require("child_process").spawnSync(process.execPath, args, { stdio: "ignore" }).status)`;
  const { stdout } = spawnSync(
    "unshare",
    ["--pid", "--fork", "--kill-child", "--mount-proc", process.execPath, "--eval", script],
    { encoding: "utf8", timeout: 60_000 },
  );
  assert.equal(stdout, "0\n0\n0\n");
});

test("what cannot be done is refused, by name, and logged for programs create", async () => {
  using bundles = await openBundles();
  const log = join(bundles.out, "oci.log");
  const refusals: readonly (readonly [Change, string])[] = [
    [
      (config) => {
        config["ociVersion"] = "2.0.0";
      },
      'ociVersion: "2.0.0", 1.x.x is expected',
    ],
    [
      ({ process }) => {
        process["apparmorProfile"] = "x";
      },
      "process.apparmorProfile: AppArmor is not supported",
    ],
    [
      ({ process }) => {
        process["cwd"] = "here";
      },
      "process.cwd: an absolute path is expected",
    ],
    [
      ({ process }) => {
        process["args"] = ["/nowhere"];
      },
      'exec: "/nowhere": no such file or directory',
    ],
    [
      ({ process }) => {
        process["rlimits"] = [{ type: "RLIMIT_FLY", soft: 1, hard: 1 }];
      },
      "resource limit RLIMIT_FLY: known are RLIMIT_CPU, RLIMIT_FSIZE, RLIMIT_DATA, RLIMIT_STACK, RLIMIT_CORE, RLIMIT_RSS, RLIMIT_NPROC, RLIMIT_NOFILE, RLIMIT_MEMLOCK, RLIMIT_AS, RLIMIT_LOCKS, RLIMIT_SIGPENDING, RLIMIT_MSGQUEUE, RLIMIT_NICE, RLIMIT_RTPRIO, RLIMIT_RTTIME",
    ],
    [
      ({ root }) => {
        root["path"] = "nothing";
      },
      `open ${"BUNDLE"}/nothing: no such file or directory`,
    ],
    [
      ({ linux }) => {
        linux["cgroupsPath"] = "a.slice:b:c";
      },
      "linux.cgroupsPath: a.slice:b:c is for systemd, which naru-oci does not use: configure the cgroupfs driver",
    ],
    [
      ({ linux }) => {
        linux["cgroupsPath"] = "/../../etc";
      },
      "linux.cgroupsPath: no . and no .. are allowed",
    ],
    [
      ({ linux }) => {
        linux["cgroupsPath"] = "/";
      },
      "linux.cgroupsPath: / is the cgroup of the whole machine",
    ],
    [
      ({ linux }) => {
        linux["sysctl"] = { "kernel.panic": "1" };
      },
      "linux.sysctl.kernel.panic: not a setting of a container's namespaces",
    ],
    [
      ({ linux }) => {
        linux["intelRdt"] = { closID: "x" };
      },
      "linux.intelRdt: naru-oci does not support it",
    ],
    [
      ({ linux }) => {
        linux["seccomp"] = { defaultAction: "SCMP_ACT_NOTIFY" };
      },
      "seccomp profile: defaultAction: SCMP_ACT_NOTIFY can be for some calls",
    ],
    [
      ({ mounts }) => {
        mounts.push({ destination: "/proc/self/attr", type: "tmpfs", source: "x" });
      },
      "mount /proc/self/attr: nothing may be mounted inside of /proc",
    ],
  ];
  const expected = refusals.map(([, message], i) => message.replace("BUNDLE", join(bundles.out, "..", `r${i}`)));
  const messages = refusals.map(([change], i) => {
    const bundle = bundles.bundle(`r${i}`, "true", change);
    return bundles.oci(["--log", log, "--log-format", "json", "create", "--bundle", bundle, "r"]).stderr.trim();
  });
  const logged = readFileSync(log, "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { level: string; msg: string });
  const systemd = bundles.oci(["--systemd-cgroup", "list"]);
  assert.deepEqual(
    [messages, logged.map(({ level, msg }) => `${level} ${msg}`), systemd.stderr, readdirSync(bundles.root)],
    [
      expected.map((message) => `naru-oci: ${message}`),
      expected.map((message) => `error ${message}`),
      "naru-oci: --systemd-cgroup: naru-oci makes cgroups in cgroupfs; configure that driver\n",
      [],
    ],
  );
});

test("a bundle cannot lead out of its root create", async () => {
  using bundles = await openBundles();
  const outside = join(bundles.out, "host");
  mkdirSync(outside);
  const reached: string[] = [];
  for (let fd = 3; fd < 16; fd++) {
    const bundle = bundles.bundle(`fd-${fd}`, "true", ({ process }) => {
      process["cwd"] = `/proc/self/fd/${fd}`;
    });
    if (bundles.oci(["run", "--bundle", bundle, `fd-${fd}`]).exitCode === 0) reached.push(String(fd));
  }
  const links = output(bundles, "links", "ls /out/host", ({ mounts }) => {
    mounts.push({ destination: `/../../..${outside}/../../x`, type: "tmpfs", source: "x" });
  });
  assert.deepEqual([reached, links, readdirSync(outside), statSync(outside).isDirectory()], [[], [""], [], true]);
});

test("a file that is handed over is no way to a directory outside run, exec --preserve-fds", async () => {
  using bundles = await openBundles();
  const root = openSync("/", "r");
  const handed = (...args: readonly string[]) => {
    const { stderr } = spawnSync(process.execPath, bundles.command(args), {
      stdio: ["ignore", "ignore", "pipe", root],
      encoding: "utf8",
    });
    return stderr.trim();
  };
  try {
    await bundles.leave(["run", "--detach", "--bundle", bundles.bundle("a", "sleep 1000"), "a"]);
    const bundle = bundles.bundle("b", "true", ({ process }) => {
      process["cwd"] = "/proc/self/fd/3";
    });
    assert.deepEqual(
      [
        handed("run", "--preserve-fds", "1", "--bundle", bundle, "b"),
        handed("exec", "--preserve-fds", "1", "--cwd", "/proc/self/fd/3", "a", "true"),
      ],
      [
        "naru-oci: make directory /proc/self/fd/3: too many symbolic links encountered",
        "naru-oci: change directory to /proc/self/fd/3: it lies outside: operation not permitted",
      ],
    );
  } finally {
    closeSync(root);
  }
});

test("what it can do is said in the specification's form features", async () => {
  using bundles = await openBundles();
  const features = JSON.parse(bundles.oci(["features"]).stdout) as Record<string, unknown>;
  const version = bundles.oci(["--version"]).stdout;
  assert.deepEqual(
    [
      features["ociVersionMin"],
      features["ociVersionMax"],
      (features["hooks"] as string[]).length,
      /^naru-oci \S+\nspec: 1\.3\.0\n$/.test(version),
    ],
    ["1.0.0", "1.3.0", 6, true],
  );
});

test("what a container uses is told once, or until it ends events", async () => {
  using bundles = await openBundles();
  await bundles.leave(["run", "--detach", "--bundle", bundles.bundle("a", "sleep 1000"), "a"]);
  const [once = ""] = bundles.oci(["events", "--stats", "a"]).stdout.trim().split("\n");
  const { type, id, data } = JSON.parse(once) as {
    readonly type: string;
    readonly id: string;
    readonly data: { readonly memory: { readonly usage: { readonly usage: number } }; readonly pids: unknown };
  };
  const following = bundles.leave(["events", "--interval", "10ms", "a"]);
  await new Promise((resolve) => setTimeout(resolve, 500));
  bundles.oci(["kill", "a", "KILL"]);
  const { exitCode, stdout } = await following;
  const lines = stdout.trim().split("\n");
  assert.deepEqual(
    [type, id, data.pids, data.memory.usage.usage > 0, exitCode, lines.every((line) => line.includes('"stats"'))],
    ["stats", "a", { current: 1 }, true, 0, true],
  );
  assert.equal(
    bundles.oci(["events", "--interval", "soon", "a"]).stderr,
    "naru-oci: --interval soon: a duration such as 500ms or 5s is expected\n",
  );
});

test("every command says what it takes --help", async () => {
  using bundles = await openBundles();
  const wrong = commands.flatMap(({ name }) => {
    const { exitCode, stdout } = bundles.oci([name, "--help"]);
    return exitCode === 0 && stdout.startsWith(`naru-oci ${name}`) && stdout.includes("--help") ? [] : [name];
  });
  const [words] = bundles.oci(["restore", "a"]).stderr.split(";");
  assert.deepEqual(
    [wrong, words],
    [[], "naru-oci: restore: processes cannot be brought back: nothing of CRIU's is here"],
  );
});
