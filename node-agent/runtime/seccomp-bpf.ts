// The few classic BPF instructions that seccomp filters are made of. A block always ends in returns; blocks nest by jumps forward.
import type { Condition } from "./seccomp-profile.ts";

export interface Instruction {
  readonly code: number;
  readonly jt: number;
  readonly jf: number;
  readonly k: number;
}

export type Block = readonly Instruction[];

// linux/filter.h
const loadAbsolute = 0x20;
const jumpAlways = 0x05;
const and = 0x54;
const returnValue = 0x06;
const jumps = { eq: 0x15, gt: 0x25, ge: 0x35 };

/** Loads 32 bits of struct seccomp_data: the call's number at 0, the architecture at 4, arguments from 16 on. */
export function load(offset: number): Instruction {
  return { code: loadAbsolute, jt: 0, jf: 0, k: offset };
}

export function ret(action: number): Instruction {
  return { code: returnValue, jt: 0, jf: 0, k: action >>> 0 };
}

/** `yes` when the loaded value compares so with `value`, else `no`. */
export function conditional(compare: keyof typeof jumps, value: number, yes: Block, no: Block): Block {
  if (no.length <= 255) return [jump(compare, value, no.length, 0), ...no, ...yes];
  return [jump(compare, value, 0, 1), { code: jumpAlways, jt: 0, jf: 0, k: no.length }, ...no, ...yes];
}

/** `yes` (a block that returns) when the condition holds, else goes on behind it. Little-endian, 64-bit arguments. */
export function condition(test: Condition, yes: Block): Block {
  const low = 16 + 8 * test.index;
  const high = low + 4;
  const [valueHigh, valueLow] = halves(test.value);
  const [twoHigh, twoLow] = halves(test.valueTwo);
  const after = yes.length;
  switch (test.op) {
    case "SCMP_CMP_EQ":
      return [load(high), jump("eq", valueHigh, 0, after + 2), load(low), jump("eq", valueLow, 0, after), ...yes];
    case "SCMP_CMP_NE":
      return [load(high), jump("eq", valueHigh, 0, 2), load(low), jump("eq", valueLow, after, 0), ...yes];
    case "SCMP_CMP_GT":
    case "SCMP_CMP_GE": {
      const compare = test.op === "SCMP_CMP_GT" ? "gt" : "ge";
      const parts = [load(high), jump("gt", valueHigh, 3, 0), jump("eq", valueHigh, 0, after + 2)];
      return [...parts, load(low), jump(compare, valueLow, 0, after), ...yes];
    }
    case "SCMP_CMP_LT":
    case "SCMP_CMP_LE": {
      const compare = test.op === "SCMP_CMP_LT" ? "ge" : "gt";
      const parts = [load(high), jump("gt", valueHigh, after + 3, 0), jump("eq", valueHigh, 0, 2)];
      return [...parts, load(low), jump(compare, valueLow, after, 0), ...yes];
    }
    case "SCMP_CMP_MASKED_EQ": {
      const mask = (k: number): Instruction => ({ code: and, jt: 0, jf: 0, k });
      return [
        load(high),
        mask(valueHigh),
        jump("eq", twoHigh, 0, after + 3),
        load(low),
        mask(valueLow),
        jump("eq", twoLow, 0, after),
        ...yes,
      ];
    }
  }
}

export function assemble(program: Block): Buffer {
  if (program.length > 4096)
    throw new RangeError(`the filter has ${program.length} instructions, the kernel takes 4096`);
  const bytes = Buffer.alloc(program.length * 8);
  for (const [i, { code, jt, jf, k }] of program.entries()) {
    bytes.writeUInt16LE(code, i * 8);
    bytes.writeUInt8(jt, i * 8 + 2);
    bytes.writeUInt8(jf, i * 8 + 3);
    bytes.writeUInt32LE(k, i * 8 + 4);
  }
  return bytes;
}

function jump(compare: keyof typeof jumps, k: number, jt: number, jf: number): Instruction {
  return { code: jumps[compare], jt, jf, k };
}

function halves(value: bigint): readonly [number, number] {
  return [Number((value >> 32n) & 0xffff_ffffn), Number(value & 0xffff_ffffn)];
}
