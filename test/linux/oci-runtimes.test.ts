// Containers that other OCI runtimes make (runc, crun), against the kernel: what the built-in runtime does has to hold for them. Needs root.
import assert from "node:assert/strict";
import {
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { isAlive, readStatus } from "../../node-agent/runtime/container-directory.ts";
import { readAll, runtimeContract } from "../../node-agent/runtime/contract.ts";
import type { ContainerSpec, Sandbox } from "../../node-agent/runtime/runtime.ts";
import { noOciRuntimes, type OciName, ociNames, ociProgram } from "../oci-programs.ts";
import { bind, linesOf, look, refusal } from "./look.ts";
import { openRig, type Rig, readCgroup, unifiedCgroups } from "./rig.ts";

const open = async (name: OciName) => openRig({ ociPrograms: [await ociProgram(name)] }, { runtime: name });

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; !(await condition()); tries++) {
    assert.ok(tries < 1500, "it happens within some seconds");
    await sleep(10);
  }
}

function inSandbox(sandbox: Sandbox): ContainerSpec["namespaces"] {
  return [
    { type: "mount" },
    { type: "cgroup" },
    { type: "pid", ...(sandbox.pidPath === undefined ? {} : { path: sandbox.pidPath }) },
    ...(sandbox.userPath === undefined ? [] : [{ type: "user" as const, path: sandbox.userPath }]),
    { type: "network", path: sandbox.networkPath },
    { type: "ipc", path: sandbox.ipcPath },
    { type: "uts", path: sandbox.utsPath },
  ];
}

const statusOf = (rig: Rig, id: string) => readStatus(join(rig.options.stateDir, "containers", id));

if (noOciRuntimes !== false) test(noOciRuntimes, { skip: true });
else
  for (const name of ociNames) {
    const check = (title: string, body: (rig: Rig) => Promise<void>) =>
      test(`${name}: ${title}`, async () => {
        await using rig = await open(name);
        await body(rig);
      });

    runtimeContract(name, () => open(name));

    check("capabilities, filter, groups and environment are the spec's start", async (rig) => {
      await rig.runtime.create(
        rig.spec("a", ["report"], { user: { uid: 0, gid: 0, additionalGids: [7, 8] }, noNewPrivileges: true }),
      );
      await rig.runtime.start("a");
      await rig.runtime.wait("a");
      const lines = linesOf(rig.logOf("a"));
      const has = (line: string) => lines.some((one) => one === line);
      assert.deepEqual(
        [
          "status: CapEff:\t00000000a80425fb",
          "status: CapBnd:\t00000000a80425fb",
          "status: Seccomp:\t2",
          "status: NoNewPrivs:\t1",
          "pid: 1",
          "hostname: inside",
        ].map(has),
        [true, true, true, true, true, true],
        lines.join("\n"),
      );
    });

    check("volumes, also places below them, are there and read-only where they should be start", async (rig) => {
      const volume = join(rig.directory, "volume");
      mkdirSync(join(volume, "deep"), { recursive: true });
      writeFileSync(join(volume, "deep", "file"), "text");
      symlinkSync("/etc", join(volume, "out"));
      const words = [
        ...["read", "/v/deep/file", "write", "/v/new", "read", "/sub/file", "write", "/sub/new", "read", "/one"],
        ...["write", "/rro/x", "write", "/x"],
      ];
      const seen = await look(rig, words, {
        mounts: [
          bind(volume, "/v"),
          bind(volume, "/sub", { subPath: "deep", options: ["bind", "ro"] }),
          bind(volume, "/one", { subPath: "deep/file", options: ["bind"] }),
          bind(volume, "/rro", { options: ["rbind", "rro"] }),
        ],
        readonlyRootfs: true,
      });
      assert.deepEqual(seen, [
        "read /v/deep/file: text",
        "write /v/new: allowed",
        "read /sub/file: text",
        "write /sub/new: Read-only file system",
        "read /one: text",
        "write /rro/x: Read-only file system",
        "write /x: Read-only file system",
      ]);
      const { message, subPathOf } = await refusal(rig, { mounts: [bind(volume, "/bad", { subPath: "out/passwd" })] });
      assert.match(message, /open out\/passwd below .*volume, which it leads out of/);
      assert.equal(subPathOf, "/bad");
    });

    check("what is mounted later on one side is seen on the other, if that was asked start", async (rig) => {
      const [shared, slave] = ["shared", "slave"].map((one) => join(rig.directory, one));
      const { execFileSync } = await import("node:child_process");
      for (const path of [shared ?? "", slave ?? ""]) {
        mkdirSync(join(path, "in"), { recursive: true });
        execFileSync("mount", ["--bind", path, path]);
        execFileSync("mount", ["--make-shared", path]);
      }
      try {
        await rig.runtime.create(
          rig.spec("a", ["stubborn"], {
            privileged: true,
            mounts: [
              bind(shared ?? "", "/shared", { options: ["rbind", "rshared"] }),
              bind(slave ?? "", "/slave", { options: ["rbind", "rslave"] }),
            ],
          }),
        );
        await rig.runtime.start("a");
        const within = (args: readonly string[]) =>
          rig.runtime
            .exec("a", { args: ["/probe", "files", ...args], terminal: false, stdin: false })
            .then(({ stdout, stderr }) => {
              stderr?.resume();
              return readAll(stdout);
            });
        execFileSync("mount", ["-t", "tmpfs", "tmpfs", join(slave ?? "", "in")]);
        writeFileSync(join(slave ?? "", "in", "late"), "late");
        const fromHost = await within(["read", "/slave/in/late"]);
        const mounted = await within(["tmpfs", "/shared/in"]);
        const mounts = readFileSync("/proc/self/mountinfo", "utf8");
        assert.deepEqual(
          [fromHost, mounted, mounts.includes(` ${shared}/in `)],
          ["read /slave/in/late: late\n", "tmpfs /shared/in: allowed\n", true],
        );
      } finally {
        await rig.runtime.remove("a");
        for (const path of [shared, slave])
          for (const below of [`${path}/in`, `${path}`])
            execFileSync("sh", ["-c", `umount -l ${below} 2>/dev/null || true`]);
      }
    });

    check("a terminal has a size and echoes, for the container and for one process more attach, exec", async (rig) => {
      await rig.runtime.create(rig.spec("a", ["terminal"], { terminal: true, stdin: true }));
      await rig.runtime.start("a", { holdOutput: true });
      const first = await rig.runtime.exec("a", { args: ["/probe", "terminal"], terminal: true, stdin: true });
      first.resize({ columns: 101, rows: 51 });
      first.stdin?.write("hello\n");
      const text = await readAll(first.stdout);
      const attached = await rig.runtime.attach("a");
      attached.stdin?.write("typed\n");
      const said = await readAll(attached.stdout);
      const got = (all: string) => all.split("\r\n").filter((line) => /^(?:got|now)/.test(line));
      assert.deepEqual(
        [got(text), await first.exit, got(said)[0], await attached.exit, (await rig.runtime.wait("a")).exitCode],
        [["got hello", "now 101x51"], { exitCode: 5 }, "got typed", { exitCode: 5 }, 5],
      );
    });

    check("containers of a sandbox share its namespaces, processes too when they do createSandbox", async (rig) => {
      const sandbox = await rig.runtime.createSandbox("pod", {
        hostname: "pod-name",
        hostNetwork: false,
        sysctls: {},
        sharePids: true,
        runtime: name,
      });
      for (const id of ["a", "b"]) {
        await rig.runtime.create(rig.spec(id, ["stubborn"], { namespaces: inSandbox(sandbox) }));
        await rig.runtime.start(id);
      }
      const links = (id: string) =>
        ["net", "ipc", "uts", "pid"].map((kind) => readlinkSync(`/proc/${statusOf(rig, id)?.process.pid}/ns/${kind}`));
      assert.deepEqual(
        [links("a"), sandbox.runtime, await rig.runtime.listSandboxes()],
        [
          links("b"),
          name,
          [
            {
              id: "pod",
              networkPath: sandbox.networkPath,
              ipcPath: sandbox.ipcPath,
              utsPath: sandbox.utsPath,
              runtime: name,
            },
          ],
        ],
      );
      // Another process in it ends with its exit code, whoever its parent is.
      const streams = await rig.runtime.exec("a", { args: ["/probe", "exit", "42"], terminal: false, stdin: false });
      assert.deepEqual(await streams.exit, { exitCode: 42 });
    });

    check("root of a user namespace is nobody outside, its volumes its own start", async (rig) => {
      const idMapping = { hostId: 1_234_567_168, size: 65_536 };
      const sandbox = await rig.runtime.createSandbox("s", {
        hostname: "x",
        hostNetwork: false,
        sysctls: {},
        idMapping,
      });
      const volume = join(rig.directory, "volume");
      mkdirSync(volume);
      chownSync(volume, 0, 0);
      const seen = await look(
        rig,
        [
          "id",
          ".",
          "read",
          "/proc/self/uid_map",
          "stat",
          "/probe",
          "write",
          "/v/new",
          "stat",
          "/v/new",
          "write",
          "/new",
        ],
        {
          idMapping,
          namespaces: inSandbox(sandbox),
          mounts: [bind(volume, "/v", { options: ["rbind", "ridmap"] })],
        },
      );
      assert.deepEqual(seen, [
        "id: 0:0",
        `read /proc/self/uid_map:          0 ${idMapping.hostId}      65536`,
        "stat /probe: file 0755 0:0",
        "write /v/new: allowed",
        "stat /v/new: file 0644 0:0",
        "write /new: allowed",
      ]);
    });

    check("who is to be spared when memory is short is so as far as the agent may start", async (rig) => {
      await rig.runtime.create(rig.spec("a", ["stubborn"], { resources: { oomScoreAdj: -997 } }));
      await rig.runtime.start("a");
      const adjustment = Number(readFileSync(`/proc/${statusOf(rig, "a")?.process.pid}/oom_score_adj`, "utf8"));
      assert.ok(adjustment === -997 || adjustment === Number(readFileSync("/proc/self/oom_score_adj", "utf8")));
    });

    check("limits hold, are measured, and change while it runs update, stats", async (rig) => {
      await rig.runtime.create(
        rig.spec("a", ["stubborn"], {
          resources: { memoryBytesMax: 64 << 20, pidsMax: 10, oomScoreAdj: 300 },
          resourcesAbove: { memoryBytesMax: 64 << 20 },
        }),
      );
      await rig.runtime.start("a");
      const limits = () => [
        readCgroup(rig, "pod-a/a", ["memory", "memory.limit_in_bytes", "memory.max"]),
        readCgroup(rig, "pod-a", ["memory", "memory.limit_in_bytes", "memory.max"]),
        readCgroup(rig, "pod-a/a", ["pids", "pids.max", "pids.max"]),
      ];
      const before = limits();
      await rig.runtime.update("a", { memoryBytesMax: 128 << 20, pidsMax: 20 }, { memoryBytesMax: 128 << 20 });
      const pid = statusOf(rig, "a")?.process.pid;
      const { pids, memoryUsageBytes } = await rig.runtime.stats("a");
      assert.deepEqual(
        [before, limits(), readFileSync(`/proc/${pid}/oom_score_adj`, "utf8"), pids, memoryUsageBytes > 0],
        [[String(64 << 20), String(64 << 20), "10"], [String(128 << 20), String(128 << 20), "20"], "300\n", 1, true],
      );
    });

    check("what runs outlives a kill of launcher and agent, and can be entered and frozen list, exec", async (rig) => {
      await rig.runtime.create(rig.spec("a", ["stubborn"]));
      const { pid } = await rig.runtime.start("a");
      const [, launcher] = await rig.runtime.request("hello", []);
      await rig.runtime[Symbol.asyncDispose]();
      process.kill(Number(launcher), "SIGKILL");
      const runtime = await rig.reopen();
      await runtime.pause("a");
      await runtime.resume("a");
      const streams = await runtime.exec("a", {
        args: ["/probe", "print", "still here"],
        terminal: false,
        stdin: false,
      });
      streams.stderr?.resume();
      const state = (await runtime.list()).find(({ id }) => id === "a")?.state;
      assert.deepEqual(
        [await readAll(streams.stdout), state?.status === "running" && state.pid],
        ["still here\n", pid],
      );
      await runtime.signal("a", 9);
      assert.equal((await runtime.wait("a")).exitCode, 137);
    });

    check("ending an exec's connection ends its process kill", async (rig) => {
      await rig.runtime.create(rig.spec("a", ["stubborn"]));
      await rig.runtime.start("a");
      const streams = await rig.runtime.exec("a", { args: ["/probe", "stubborn"], terminal: false, stdin: false });
      streams.stdout.resume();
      streams.stderr?.resume();
      streams.kill();
      await streams.exit;
      await until(async () => (await rig.runtime.stats("a")).pids === 1);
      assert.deepEqual(
        readdirSync(join(rig.options.stateDir, "containers", "a")).filter((one) => one.startsWith("exec")),
        [],
      );
    });

    check("a kill of its monitor takes the container down, and is noticed wait", async (rig) => {
      await rig.runtime.create(rig.spec("a", ["stubborn"]));
      await rig.runtime.start("a");
      const status = statusOf(rig, "a");
      process.kill(status?.monitor.pid ?? 0, "SIGKILL");
      const { exitCode, signal } = await rig.runtime.wait("a");
      await until(() => status !== undefined && !isAlive(status.process));
      assert.deepEqual({ exitCode, signal }, { exitCode: 137, signal: 9 });
    });

    check("the runtime's own words say why not start, exec", async (rig) => {
      const { message, exitCode } = await refusal(rig, { mounts: [bind("/nowhere-at-all", "/v")] });
      assert.match(message, /nowhere-at-all.*no such file or directory/i);
      assert.equal(exitCode, 128);
      await rig.runtime.create(rig.spec("a", ["stubborn"]));
      await rig.runtime.start("a");
      const failing = { args: ["/nowhere"], terminal: false, stdin: false };
      await assert.rejects(rig.runtime.exec("a", failing), { name: "LaunchError", exitCode: 127 });
      await assert.rejects(
        rig.runtime.create(rig.spec("b", ["exit"], { runtime: "runsc" })),
        new RegExp(`no runtime for "runsc" is configured, this node has naru, ${name}$`),
      );
    });

    check("what runs can be ended although the node has its runtime no more remove", async (rig) => {
      await rig.runtime.create(rig.spec("a", ["stubborn"]));
      const { pid } = await rig.runtime.start("a");
      const runtime = await rig.reopen({ ociPrograms: [] });
      await assert.rejects(runtime.exec("a", { args: ["/probe"], terminal: false, stdin: false }), /no runtime for/);
      await runtime.remove("a");
      assert.deepEqual([await runtime.list(), existsSync(`/proc/${pid}`)], [[], false]);
      await rig.reopen();
    });

    test(`${name}: nothing is left behind remove, tearDown`, async () => {
      const cgroups = (parent: string) =>
        (unifiedCgroups ? [""] : readdirSync("/sys/fs/cgroup")).filter((tree) =>
          existsSync(`/sys/fs/cgroup/${tree}${parent}`),
        );
      const mounts = () => readFileSync("/proc/self/mountinfo", "utf8");
      let parent = "";
      {
        await using rig = await open(name);
        parent = rig.options.cgroupParent;
        await rig.runtime.create(rig.spec("a", ["stubborn"], { terminal: true }));
        await rig.runtime.start("a");
        assert.ok(cgroups(`${parent}/pod-a/a`).length > 0);
        assert.ok(!mounts().includes(rig.directory), "its root is mounted for itself alone");
        await rig.runtime.remove("a");
        assert.deepEqual([cgroups(`${parent}/pod-a`), readdirSync(join(rig.options.runDir, "oci", name))], [[], []]);
      }
      assert.deepEqual(cgroups(parent), []);
    });
  }
