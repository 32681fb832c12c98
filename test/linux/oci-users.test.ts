// Containers of naru-oci whose users are others on the host: user namespaces, and mounts with users of their own.
import assert from "node:assert/strict";
import { chownSync, mkdirSync, readFileSync, readlinkSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { type Bundles, type Config, openBundles } from "./bundle.ts";

const uidMappings = [
  { containerID: 0, hostID: 100_000, size: 1000 },
  { containerID: 1000, hostID: 200_000, size: 10 },
];
const gidMappings = [{ containerID: 0, hostID: 300_000, size: 65_536 }];

function withUsers({ linux }: Config): void {
  (linux["namespaces"] as object[]).push({ type: "user" });
  Object.assign(linux, { uidMappings, gidMappings });
}

function output(bundles: Bundles, name: string, script: string, change: (config: Config) => void): readonly string[] {
  const { stdout, stderr } = bundles.oci(["run", "--bundle", bundles.bundle(name, script, change), name]);
  return `${stdout}${stderr}`.trimEnd().split("\n");
}

test("users are others on the host, and their root is none there linux.uidMappings", async () => {
  using bundles = await openBundles();
  const script = `tr -s ' ' < /proc/self/uid_map; tr -s ' ' < /proc/self/gid_map; id -u; id -g
    touch /out/made; stat -c '%u %g' /bin /tmp /dev /dev/null /dev/shm /new /own
    hostname other && hostname; echo 1 > /proc/sys/kernel/shmmni && cat /proc/sys/kernel/shmmni
    echo 1 2>&1 > /proc/sys/kernel/panic | grep -o 'denied\\|Read-only'
    umount /proc/timer_list 2>&1 | grep -o 'Invalid argument'; mount -t tmpfs x /tmp && echo mounted
    cat /proc/self/cgroup | cut -d: -f3 | sort -u; (exec 3<>/dev/null) && echo null`;
  const lines = output(bundles, "u", script, (config) => {
    withUsers(config);
    config.linux["readonlyPaths"] = [];
    const all = ["CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE"];
    config.process["capabilities"] = { bounding: all, effective: all, permitted: all };
    config.mounts.push(
      { destination: "/tmp", type: "tmpfs", source: "tmpfs", options: ["mode=1777"] },
      { destination: "/own", type: "tmpfs", source: "tmpfs", options: ["uid=1000", "gid=7"] },
      { destination: "/new", type: "bind", source: "/proc/self/fdinfo/../../../bin", options: ["rbind"] },
    );
  });
  const made = statSync(join(bundles.out, "made"));
  assert.deepEqual(
    [lines, [made.uid, made.gid]],
    [
      [
        ...["", " 0 100000 1000", " 1000 200000 10"].slice(1),
        " 0 300000 65536",
        ...["0", "0"],
        ...["65534 65534", "0 0", "0 0", "0 0", "0 0", "65534 65534", "1000 7"],
        ...["other", "1"],
        "denied",
        ...["Invalid argument", "mounted"],
        ...["/", "null"],
      ],
      [100_000, 300_000],
    ],
  );
});

test("another process enters the user namespace, with a terminal of its own user exec", async () => {
  using bundles = await openBundles();
  const bundle = bundles.bundle("e", "sleep 1000", withUsers);
  await bundles.leave(["run", "--detach", "--bundle", bundle, "e"]);
  const { pid } = JSON.parse(bundles.oci(["state", "e"]).stdout) as { pid: number };
  const script = "id -u; id -g; readlink /proc/self/ns/user; grep CapEff /proc/self/status";
  const { stdout } = bundles.oci(["exec", "--user", "1000:5", "e", "sh", "-c", script]);
  const joined = bundles.bundle("j", "readlink /proc/self/ns/user; tr -s ' ' < /proc/self/uid_map", ({ linux }) => {
    (linux["namespaces"] as object[]).push({ type: "user", path: `/proc/${pid}/ns/user` });
  });
  const users = readlinkSync(`/proc/${pid}/ns/user`);
  assert.deepEqual(
    [
      stdout,
      bundles.oci(["run", "--bundle", joined, "j"]).stdout,
      readFileSync(`/proc/${pid}/status`, "utf8").match(/^[UG]id:\t\d+/gm),
      users === readlinkSync("/proc/self/ns/user"),
    ],
    [
      `1000\n5\n${users}\nCapEff:\t00000000a80425fb\n`.replace("00000000a80425fb", "0000000000000000"),
      `${users}\n 0 100000 1000\n 1000 200000 10\n`,
      ["Uid:\t100000", "Gid:\t300000"],
      false,
    ],
  );
});

test("a mount shows files as other users', the container's or its own mounts.uidMappings, idmap", async () => {
  using bundles = await openBundles();
  const folder = join(bundles.out, "shared");
  mkdirSync(folder, { mode: 0o777 });
  writeFileSync(join(folder, "file"), "text\n");
  chownSync(join(folder, "file"), 3, 4);
  const script =
    "stat -c '%u %g' /mapped/file; cat /mapped/file; touch /mapped/made-$NAME; stat -c '%u %g' /mapped/made-$NAME";
  const own = {
    uidMappings: [{ containerID: 0, hostID: 0, size: 10 }],
    gidMappings: [{ containerID: 0, hostID: 50, size: 10 }],
  };
  const mapped =
    (options: readonly string[], more: object = {}) =>
    (config: Config) => {
      if (more === own) config.process["user"] = { uid: 0, gid: 52 };
      config.mounts.push({ destination: "/mapped", type: "bind", source: folder, options, ...more });
    };
  const run = (name: string, change: (config: Config) => void) => {
    const lines = output(bundles, name, script.replaceAll("$NAME", name), change);
    const { uid, gid } = statSync(join(folder, `made-${name}`));
    return [lines, uid, gid];
  };
  assert.deepEqual(
    [
      run("container", (config) => {
        withUsers(config);
        mapped(["rbind", "ridmap"])(config);
      }),
      run("mount", mapped(["bind", "idmap"], own)),
      run("silent", mapped(["bind"], own)),
    ],
    [
      [["3 4", "text", "0 0"], 0, 0],
      [["3 54", "text", "0 52"], 0, 2],
      [["3 54", "text", "0 52"], 0, 2],
    ],
  );
});

test("users that nobody is mapped to are refused create", async () => {
  using bundles = await openBundles();
  const refusals: readonly ((config: Config) => void)[] = [
    ({ linux }) => {
      linux["uidMappings"] = uidMappings;
    },
    ({ linux }) => {
      Object.assign(linux, { uidMappings, gidMappings });
    },
    ({ linux }) => {
      (linux["namespaces"] as object[]).push({ type: "user" });
    },
    (config) => {
      withUsers(config);
      config.process["user"] = { uid: 5000, gid: 0 };
    },
    ({ mounts }) => {
      mounts.push({ destination: "/x", type: "bind", source: "/bin", options: ["bind", "idmap"] });
    },
    (config) => {
      withUsers(config);
      config.linux["uidMappings"] = [{ containerID: 0, hostID: -1, size: 1 }];
    },
  ];
  const messages = refusals.map((change, i) => {
    const bundle = bundles.bundle(`r${i}`, "true", change);
    return bundles.oci(["create", "--bundle", bundle, "r"]).stderr.replace("naru-oci: ", "").trim();
  });
  assert.deepEqual(messages, [
    "linux.gidMappings: uidMappings are there, so they are needed",
    "linux.uidMappings: there is no user namespace that they are for",
    "linux.uidMappings: a user namespace needs them, and linux.gidMappings",
    "process.user.uid: 5000 is not among the users of the user namespace",
    "mount /x: idmap needs uidMappings and gidMappings, or a user namespace",
    "linux.uidMappings[0].hostID: -1, 0 to 4294967294 is expected",
  ]);
});
