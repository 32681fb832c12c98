// Filters are run by a small interpreter and compared with the profile read rule by rule.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { capabilityNames, defaultCapabilities } from "./defaults.ts";
import syscalls from "./generated/syscalls.json" with { type: "json" };
import { compileSeccomp } from "./seccomp.ts";

const profile = JSON.parse(readFileSync(new URL("seccomp-default.json", import.meta.url), "utf8"));
const kernel = [6, 1] as const;
const x86_64 = 0xc000003e;
const x86 = 0x40000003;
const aarch64 = 0xc00000b7;
const arm = 0x40000028;
const allow = 0x7fff0000;
const eperm = 0x00050001;
const enosys = 0x00050026;

const defaultFilter = compileSeccomp(profile, { capabilities: defaultCapabilities, kernel }, "x64");

function run(filter: Buffer, arch: number, number: number, args: readonly bigint[] = []): number {
  const data = Buffer.alloc(64);
  data.writeUInt32LE(number, 0);
  data.writeUInt32LE(arch, 4);
  for (const [i, arg] of args.entries()) data.writeBigUInt64LE(arg, 16 + 8 * i);
  let loaded = 0;
  for (let at = 0; ; at++) {
    const [code, jt, jf, k] = [
      filter.readUInt16LE(at * 8),
      filter.readUInt8(at * 8 + 2),
      filter.readUInt8(at * 8 + 3),
      filter.readUInt32LE(at * 8 + 4),
    ];
    if (code === 0x20) loaded = data.readUInt32LE(k);
    else if (code === 0x54) loaded = (loaded & k) >>> 0;
    else if (code === 0x05) at += k;
    else if (code === 0x15) at += loaded === k ? jt : jf;
    else if (code === 0x25) at += loaded > k ? jt : jf;
    else if (code === 0x35) at += loaded >= k ? jt : jf;
    else if (code === 0x06) return k;
    else throw new Error(`unknown instruction ${code}`);
  }
}

test("calls that the default profile names without conditions are allowed, all others are not compileSeccomp", () => {
  const allowed = new Set<string>();
  const conditional = new Set<string>();
  for (const { names, args, includes, excludes } of profile.syscalls) {
    const caps = (includes?.caps ?? []).filter((cap: string) => !defaultCapabilities.includes(cap));
    const arches = includes?.arches ?? ["amd64"];
    if (!arches.includes("amd64") || caps.length > 0) continue;
    for (const name of names) (args === undefined && excludes === undefined ? allowed : conditional).add(name);
  }
  const wrong = Object.entries(syscalls.x86_64).filter(([name, number]) => {
    if (conditional.has(name)) return false;
    return run(defaultFilter, x86_64, number) !== (allowed.has(name) ? allow : eperm);
  });
  assert.deepEqual(wrong, []);
});

test("every call of arm64 and of its 32-bit programs compileSeccomp", () => {
  const filter = compileSeccomp(profile, { capabilities: defaultCapabilities, kernel }, "arm64");
  const words = new Map([
    [allow, "allow"],
    [eperm, "refuse"],
    [enosys, "absent"],
  ]);
  const lines = (["aarch64", "arm"] as const).flatMap((abi) =>
    Object.entries(syscalls[abi])
      .toSorted(([, a], [, b]) => a - b)
      .map(([name, number]) => `${abi} ${name} ${words.get(run(filter, { aarch64, arm }[abi], number))}`),
  );
  const path = new URL("testdata/seccomp-arm64.txt", import.meta.url);
  const text = `${lines.join("\n")}\n`;
  if (process.env["REWRITE"] === "1") writeFileSync(path, text);
  assert.equal(text, readFileSync(path, "utf8"));
});

test("what is no call of arm64 is answered as by an older kernel, other machines' programs end compileSeccomp", () => {
  const filter = compileSeccomp(profile, { capabilities: defaultCapabilities, kernel }, "arm64");
  const answers = [
    run(filter, aarch64, 9999),
    run(filter, arm, 9999),
    run(filter, arm, 0xf0fff),
    run(filter, arm, syscalls.arm.set_tls),
    run(filter, x86_64, 39),
    run(filter, aarch64, syscalls.aarch64.clone, [0x10000000n]),
    run(filter, aarch64, syscalls.aarch64.personality, [0xffffffffn]),
  ];
  assert.deepEqual(answers, [enosys, enosys, enosys, allow, 0x8000_0000, eperm, allow]);
});

test("conditions on arguments hold in all 64 bits compileSeccomp", () => {
  const { socket, personality, clone, clone3 } = syscalls.x86_64;
  const answers = [
    run(defaultFilter, x86_64, socket, [2n]),
    run(defaultFilter, x86_64, socket, [38n]),
    run(defaultFilter, x86_64, socket, [40n]),
    run(defaultFilter, x86_64, socket, [41n]),
    run(defaultFilter, x86_64, personality, [0xffffffffn]),
    run(defaultFilter, x86_64, personality, [0x1_0000_0000n]),
    run(defaultFilter, x86_64, clone, [0x11n]),
    run(defaultFilter, x86_64, clone, [0x10000000n]),
    run(defaultFilter, x86_64, clone3),
  ];
  assert.deepEqual(answers, [allow, eperm, eperm, allow, allow, eperm, allow, eperm, enosys]);
});

test("other doors into the kernel are no way around compileSeccomp", () => {
  const answers = [
    run(defaultFilter, x86_64, 0x4000_0000 | syscalls.x86_64.mount),
    run(defaultFilter, x86_64, 0x4000_0000 | syscalls.x86_64.getpid),
    run(defaultFilter, x86, syscalls.x86.mount),
    run(defaultFilter, x86, syscalls.x86.getpid),
    run(defaultFilter, 0x40000028, 20),
    run(defaultFilter, x86_64, 9999),
    run(defaultFilter, x86_64, 0xffff_ffff),
  ];
  assert.deepEqual(answers, [enosys, enosys, eperm, allow, 0x8000_0000, enosys, enosys]);
});

test("capabilities open what belongs to them compileSeccomp", () => {
  const filter = compileSeccomp(profile, { capabilities: capabilityNames, kernel }, "x64");
  const names = ["mount", "clone3", "bpf", "ptrace", "syslog", "chroot"] as const;
  assert.deepEqual(
    names.map((name) => run(filter, x86_64, syscalls.x86_64[name])),
    names.map(() => allow),
  );
});

test("every comparison answers as on whole numbers compileSeccomp", () => {
  const word = fc.bigInt({ min: 0n, max: 2n ** 53n - 1n });
  const near = fc
    .tuple(word, fc.constantFrom(-1n, 0n, 1n, 2n ** 32n))
    .map(([value, delta]) => [value, value + delta] as const);
  const ops = {
    SCMP_CMP_EQ: (a: bigint, v: bigint) => a === v,
    SCMP_CMP_NE: (a: bigint, v: bigint) => a !== v,
    SCMP_CMP_LT: (a: bigint, v: bigint) => a < v,
    SCMP_CMP_LE: (a: bigint, v: bigint) => a <= v,
    SCMP_CMP_GT: (a: bigint, v: bigint) => a > v,
    SCMP_CMP_GE: (a: bigint, v: bigint) => a >= v,
    SCMP_CMP_MASKED_EQ: (a: bigint, v: bigint) => (a & v) === 0n,
  };
  fc.assert(
    fc.property(fc.constantFrom(...Object.entries(ops)), near, ([op, expected], [value, argument]) => {
      fc.pre(argument >= 0n);
      const rule = {
        names: ["read"],
        action: "SCMP_ACT_ERRNO",
        errnoRet: 5,
        args: [{ index: 3, value: Number(value), op }],
      };
      const filter = compileSeccomp(
        { defaultAction: "SCMP_ACT_ALLOW", syscalls: [rule] },
        { capabilities: [], kernel },
        "x64",
      );
      assert.equal(run(filter, x86_64, 0, [0n, 0n, 0n, argument]), expected(argument, value) ? 0x00050005 : allow);
    }),
  );
});

test("a profile that is wrong is refused with the field's path compileSeccomp", () => {
  const compile = (value: unknown) => () => compileSeccomp(value, { capabilities: [], kernel }, "x64");
  assert.throws(compile([]), /profile: an object is expected/);
  assert.throws(compile({ defaultAction: "ALLOW" }), /defaultAction: ALLOW, known are/);
  const args = [{ index: 6, value: 1, op: "SCMP_CMP_EQ" }];
  const syscall = { names: ["read"], action: "SCMP_ACT_ALLOW", args };
  assert.throws(
    compile({ defaultAction: "SCMP_ACT_ALLOW", syscalls: [syscall] }),
    /syscalls\[0\]\.args\[0\]\.index: 6/,
  );
});
