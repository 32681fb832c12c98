// User namespaces: root of a container is nobody on the host, and its files are its own all the same. Needs root.
import assert from "node:assert/strict";
import { chownSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { readAll } from "../../node-agent/runtime/contract.ts";
import { capabilityNames } from "../../node-agent/runtime/defaults.ts";
import type { ContainerSpec } from "../../node-agent/runtime/runtime.ts";
import { bind, linesOf, look } from "./look.ts";
import { openRig, type Rig } from "./rig.ts";

const idMapping = { hostId: 1_234_567_168, size: 65_536 };

/** A sandbox with users of its own, and what a container's spec has to say to be in it. */
async function openSandbox(rig: Rig): Promise<Partial<ContainerSpec>> {
  const options = { hostname: "inside", hostNetwork: false, sysctls: { "net.ipv4.tcp_fin_timeout": "17" }, idMapping };
  const sandbox = await rig.runtime.createSandbox("s", options);
  return {
    idMapping,
    namespaces: [
      { type: "pid" },
      { type: "mount" },
      { type: "cgroup" },
      { type: "network", path: sandbox.networkPath },
      { type: "ipc", path: sandbox.ipcPath },
      { type: "uts", path: sandbox.utsPath },
      { type: "user", path: sandbox.userPath ?? "" },
    ],
  };
}

test("root inside is another user outside, with its files and volumes its own createSandbox, start", async () => {
  await using rig = await openRig();
  const users = await openSandbox(rig);
  const volume = join(rig.directory, "volume");
  mkdirSync(volume);
  chownSync(volume, 0, 0);
  writeFileSync(join(volume, "theirs"), "");
  chownSync(join(volume, "theirs"), 1000, 1000);
  const words = [
    ...["id", ".", "read", "/proc/self/uid_map", "stat", "/", "stat", "/probe", "stat", "/v", "stat", "/v/theirs"],
    ...["write", "/v/new", "write", "/etc/new", "stat", "/etc/new", "stat", "/dev/shm", "write", "/dev/shm/x"],
    ...["stat", "/dev/null", "write", "/dev/null", "write", "/dev/stdout", "mkdir", "/work/deep", "stat", "/work"],
    ...["read", "/proc/sys/net/ipv4/tcp_fin_timeout"],
  ];
  const spec = rig.spec("a", ["files", ...words], {
    ...users,
    cwd: "/work",
    mounts: [bind(volume, "/v", { options: ["rbind", "ridmap"] })],
  });
  await rig.runtime.create(spec);
  await rig.runtime.start("a");
  await rig.runtime.wait("a");
  assert.deepEqual(linesOf(rig.logOf("a")), [
    "id: 0:0",
    `read /proc/self/uid_map:          0 ${idMapping.hostId}      65536`,
    "stat /: directory 0755 0:0",
    "stat /probe: file 0755 0:0",
    "stat /v: directory 0755 0:0",
    "stat /v/theirs: file 0644 1000:1000",
    "write /v/new: allowed",
    "write /etc/new: allowed",
    "stat /etc/new: file 0644 0:0",
    "stat /dev/shm: directory 1777 0:0",
    "write /dev/shm/x: allowed",
    "stat /dev/null: c 0666 0:0",
    "write /dev/null: allowed",
    "written",
    "write /dev/stdout: allowed",
    "mkdir /work/deep: allowed",
    "stat /work: directory 0755 0:0",
    "read /proc/sys/net/ipv4/tcp_fin_timeout: 17",
  ]);
  const upper = spec.rootfs.options.find((option) => option.startsWith("upperdir="))?.slice("upperdir=".length) ?? "";
  const owner = (path: string) => statSync(path).uid;
  assert.deepEqual(
    [owner(join(upper, "etc/new")), owner(join(volume, "new")), owner(join(rig.directory, "image/probe"))],
    [idMapping.hostId, 0, 0],
  );
});

test("root inside has power there alone start", async () => {
  await using rig = await openRig();
  const users = await openSandbox(rig);
  const host = join(rig.directory, "host");
  mkdirSync(host);
  writeFileSync(join(host, "secret"), "", { mode: 0o600 });
  const seen = await look(
    rig,
    [
      ...["tmpfs", "/etc", "write", "/proc/sys/net/ipv4/tcp_fin_timeout", "write", "/proc/sys/kernel/panic"],
      // Not mapped: nobody's.
      ...["stat", "/v/secret", "read", "/v/secret", "write", "/v/new"],
    ],
    { ...users, capabilities: capabilityNames, seccomp: "unconfined", readonlyPaths: [], mounts: [bind(host, "/v")] },
  );
  assert.deepEqual(seen, [
    "tmpfs /etc: allowed",
    "write /proc/sys/net/ipv4/tcp_fin_timeout: Invalid argument",
    "write /proc/sys/kernel/panic: Permission denied",
    "stat /v/secret: file 0600 65534:65534",
    "read /v/secret: error Permission denied",
    "write /v/new: Permission denied",
  ]);
});

test("masks and what is read-only stay so for a root that may mount start", async () => {
  await using rig = await openRig();
  const users = await openSandbox(rig);
  const words = [
    "umount",
    "/proc/keys",
    "umount",
    "/proc",
    "proc",
    "/etc",
    "remount",
    "/",
    "remount",
    "/proc/sys",
    "write",
    "/x",
  ];
  const seen = await look(rig, [...words, "write", "/proc/sys/kernel/panic"], {
    ...users,
    capabilities: capabilityNames,
    seccomp: "unconfined",
    readonlyRootfs: true,
  });
  assert.deepEqual(seen, [
    "umount /proc/keys: Invalid argument",
    "umount /proc: Invalid argument",
    "proc /etc: Operation not permitted",
    "remount /: Operation not permitted",
    "remount /proc/sys: Operation not permitted",
    "write /x: Read-only file system",
    "write /proc/sys/kernel/panic: Read-only file system",
  ]);
});

test("devices of the host are nobody's, however privileged root inside is start", async () => {
  await using rig = await openRig();
  const users = await openSandbox(rig);
  const block = readdirSync("/sys/block").find((name) => existsSync(`/dev/${name}`));
  const disk = block === undefined ? "/dev/kmsg" : `/dev/${block}`;
  const [stat, write] = await look(rig, ["stat", disk, "write", disk], { ...users, privileged: true });
  assert.match(stat ?? "", / 65534:65534$/);
  assert.equal(write, `write ${disk}: Permission denied`);
});

test("other users inside are others outside too, in exec and with a terminal start, exec", async () => {
  await using rig = await openRig();
  const users = await openSandbox(rig);
  const user = { uid: 1000, gid: 1000, additionalGids: [5] };
  await rig.runtime.create(rig.spec("a", ["stubborn"], { ...users, user }));
  const { pid } = await rig.runtime.start("a");
  const uids = /^Uid:\t(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  const words = ["/probe", "files", "id", ".", "write", "/dev/stdout", "read", "/proc/self/uid_map"];
  const plain = await rig.runtime.exec("a", { args: words, terminal: false, stdin: false });
  const terminal = await rig.runtime.exec("a", { args: ["/probe", "terminal"], terminal: true, stdin: true });
  terminal.stdin?.write("hello\n");
  const texts = [await readAll(plain.stdout), await readAll(terminal.stdout)];
  assert.equal(uids, String(idMapping.hostId + 1000));
  assert.deepEqual(texts[0]?.split("\n").slice(0, 3), ["id: 1000:1000", "written", "write /dev/stdout: allowed"]);
  assert.match(texts[1] ?? "", /^terminal 1 1 1, \/dev\/pts\/0, /m);
});

test("an image of many layers keeps its users start", async () => {
  await using rig = await openRig();
  const users = await openSandbox(rig);
  const layers = Array.from({ length: 40 }, (_, i) => join(rig.directory, `layer-${i}`));
  for (const [i, layer] of layers.entries()) {
    mkdirSync(layer);
    writeFileSync(join(layer, `file-${i}`), "");
    chownSync(join(layer, `file-${i}`), i, i);
  }
  const { rootfs } = rig.spec("many", []);
  const options = rootfs.options.map((option) =>
    option.startsWith("lowerdir=") ? `${option}:${layers.join(":")}` : option,
  );
  const words = ["stat", "/file-0", "stat", "/file-39"];
  const id = "many";
  await rig.runtime.create(rig.spec(id, ["files", ...words], { ...users, rootfs: { ...rootfs, options } }));
  await rig.runtime.start(id);
  await rig.runtime.wait(id);
  assert.deepEqual(linesOf(rig.logOf(id)), ["stat /file-0: file 0644 0:0", "stat /file-39: file 0644 39:39"]);
});
