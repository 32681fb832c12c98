// AppArmor where the kernel has it, as a machine of cgroup2.test.ts does: the profile holds a container that nothing else holds. Needs root.
import assert from "node:assert/strict";
import { test } from "node:test";
import { isAppArmorEnabled, openAppArmor } from "../../node-agent/runtime/apparmor.ts";
import { readAll } from "../../node-agent/runtime/contract.ts";
import { capabilityNames } from "../../node-agent/runtime/defaults.ts";
import { ociProgram } from "../oci-programs.ts";
import { look, refusal } from "./look.ts";
import { openRig } from "./rig.ts";

const loose = { capabilities: capabilityNames, seccomp: "unconfined", readonlyPaths: [] } as const;
const words = ["read", "/proc/self/attr/current", "tmpfs", "/etc", "write", "/proc/sys/kernel/panic"];

for (const runtime of ["naru", "runc"])
  test(`${runtime}: a profile holds container and exec, without one nothing does start`, {
    skip: !isAppArmorEnabled(),
  }, async () => {
    const { defaultProfile, problem } = openAppArmor();
    assert.deepEqual([defaultProfile, problem], ["naru-default", undefined]);
    await using rig = await openRig(
      { ociPrograms: runtime === "runc" ? [await ociProgram("runc")] : [] },
      { ...loose, runtime },
    );
    const confined = { appArmorProfile: "naru-default" };
    assert.deepEqual(
      [await look(rig, words, confined), await look(rig, words.slice(0, 4))],
      [
        [
          "read /proc/self/attr/current: naru-default (enforce)",
          "tmpfs /etc: Permission denied",
          "write /proc/sys/kernel/panic: Permission denied",
        ],
        ["read /proc/self/attr/current: unconfined", "tmpfs /etc: allowed"],
      ],
    );
    await rig.runtime.create(rig.spec("a", ["stubborn"], confined));
    await rig.runtime.start("a");
    const within = { args: ["/probe", "files", ...words.slice(0, 2)], terminal: false, stdin: false };
    const streams = await rig.runtime.exec("a", within);
    streams.stderr?.resume();
    assert.equal(await readAll(streams.stdout), "read /proc/self/attr/current: naru-default (enforce)\n");
    await rig.runtime.signal("a", 9);
    assert.equal((await rig.runtime.wait("a")).exitCode, 137);
    assert.match((await refusal(rig, { appArmorProfile: "absent" })).message, /apparmor|AppArmor profile absent/);
  });
