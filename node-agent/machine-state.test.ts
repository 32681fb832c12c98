// What an init says of its machine.
import assert from "node:assert/strict";
import { test } from "node:test";
import { machineState } from "./machine-state.ts";

function utmpOf(...records: readonly (readonly [type: number, pid: number])[]): Buffer {
  return Buffer.concat(
    records.map(([type, pid]) => {
      const record = Buffer.alloc(384);
      record.writeInt16LE(type, 0);
      record.writeInt32LE(pid, 4);
      return record;
    }),
  );
}

const level = (now: string, before = "N") => now.charCodeAt(0) + before.charCodeAt(0) * 256;

test("machineState tells a machine that goes down from one whose agent is only restarted", () => {
  const none = Buffer.alloc(0);
  assert.deepEqual(
    [
      machineState({ systemd: "stopping", utmp: none }),
      machineState({ systemd: "running", utmp: utmpOf([1, level("6", "2")]) }),
      machineState({ systemd: "degraded", utmp: none }),
      machineState({ systemd: "", utmp: utmpOf([2, 0], [1, level("2")], [7, 4242]) }),
      machineState({ systemd: undefined, utmp: utmpOf([1, level("2")], [1, level("6", "2")]) }),
      machineState({ systemd: undefined, utmp: utmpOf([1, level("0", "2")]) }),
      machineState({ systemd: undefined, utmp: utmpOf([2, 0]) }),
      machineState({ systemd: undefined, utmp: none }),
    ],
    ["goes down", "stays", "stays", "stays", "goes down", "goes down", "unknown", "unknown"],
  );
});
