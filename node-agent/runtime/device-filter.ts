// The cgroup v2 program that lets a container open its devices and no others: eBPF, type BPF_PROG_TYPE_CGROUP_DEVICE. Pure.
import { allowedDevices } from "./defaults.ts";
import type { DeviceRule } from "./runtime.ts";

// Offsets in struct bpf_cgroup_dev_ctx; access_type holds the device's type below and what is wanted above 16 bits.
const accessType = 0;
const major = 4;
const minor = 8;
const typeNumber = { b: 1, c: 2 };
const accessBits = { m: 1, r: 2, w: 4 };

/** An array of struct bpf_insn. Register 2 the type, 3 what is wanted, 4 and 5 the numbers. */
export function compileDeviceFilter(rules: readonly DeviceRule[] = allowedDevices): Buffer {
  const program: Buffer[] = [
    instruction(0x61, 2, 1, accessType, 0),
    instruction(0xbc, 3, 2, 0, 0),
    instruction(0x54, 2, 0, 0, 0xffff),
    instruction(0x74, 3, 0, 0, 16),
    instruction(0x61, 4, 1, major, 0),
    instruction(0x61, 5, 1, minor, 0),
  ];
  for (const rule of rules) program.push(...compileRule(rule));
  program.push(instruction(0xb7, 0, 0, 0, 0), instruction(0x95, 0, 0, 0, 0));
  return Buffer.concat(program);
}

function compileRule(rule: DeviceRule): readonly Buffer[] {
  let allowed = 0;
  for (const [letter, bit] of Object.entries(accessBits)) if (rule.access.includes(letter)) allowed |= bit;
  const tests: (readonly [register: number, value: number])[] = [[2, typeNumber[rule.type]]];
  if (rule.major !== undefined) tests.push([4, rule.major]);
  if (rule.minor !== undefined) tests.push([5, rule.minor]);
  // Behind the tests: copy what is wanted, take away what is allowed, nothing may be left; then say yes.
  const length = tests.length + 5;
  return [
    ...tests.map(([register, value], i) => instruction(0x55, register, 0, length - i - 1, value)),
    instruction(0xbc, 6, 3, 0, 0),
    instruction(0x54, 6, 0, 0, ~allowed & 7),
    instruction(0x55, 6, 0, 2, 0),
    instruction(0xb7, 0, 0, 0, 1),
    instruction(0x95, 0, 0, 0, 0),
  ];
}

function instruction(code: number, to: number, from: number, offset: number, value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt8(code, 0);
  bytes.writeUInt8((from << 4) | to, 1);
  bytes.writeInt16LE(offset, 2);
  bytes.writeInt32LE(value, 4);
  return bytes;
}
