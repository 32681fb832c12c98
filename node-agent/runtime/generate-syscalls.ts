// Writes generated/syscalls.json out of the kernel's headers: system call numbers by architecture, in the words of seccomp profiles.
// Run as `generate-syscalls.ts FOLDER` where Debian's packages linux-libc-dev-amd64-cross, -i386-cross, -arm64-cross and -armhf-cross
// lie unpacked, and gcc to read them.
import { execFileSync } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";

const [folder = "/"] = process.argv.slice(2);

// Later than the headers of Debian 12 (Linux 6.1); from 424 on every architecture has the same numbers
// (Linux, scripts/syscall.tbl).
const later = [
  ["cachestat", 451],
  ["fchmodat2", 452],
  ["map_shadow_stack", 453],
  ["futex_wake", 454],
  ["futex_wait", 455],
  ["futex_requeue", 456],
  ["statmount", 457],
  ["listmount", 458],
  ["lsm_get_self_attr", 459],
  ["lsm_set_self_attr", 460],
  ["lsm_list_modules", 461],
  ["mseal", 462],
  ["setxattrat", 463],
  ["getxattrat", 464],
  ["listxattrat", 465],
  ["removexattrat", 466],
] as const;

/** What the headers for a triplet define, with `prefix` before the name, evaluated by the preprocessor. */
function numbers(triplet: string, flags: readonly string[], prefix = "__NR_"): Record<string, number> {
  const include = join(folder, "usr", triplet, "include");
  const preprocess = (options: readonly string[], input: string) =>
    execFileSync("gcc", ["-E", ...options, "-nostdinc", "-undef", ...flags, "-I", include, "-x", "c", "-"], {
      input: `#include <asm/unistd.h>\n${input}`,
      encoding: "utf8",
    });
  const defined = [...preprocess(["-dM"], "").matchAll(new RegExp(`^#define ${prefix}([a-z_]\\w*) `, "gm"))].map(
    ([, name]) => String(name),
  );
  const values = preprocess(["-P"], defined.map((name) => `@${name} ${prefix}${name}`).join("\n"));
  return Object.fromEntries(
    [...values.matchAll(/^@(\w+) ([0-9a-fx+() ]+)$/gm)].map(([, name, sum]) => [String(name), add(String(sum))]),
  );
}

/** "(0 + 5)" */
function add(text: string): number {
  return text
    .replaceAll(/[() ]/g, "")
    .split("+")
    .reduce((total, number) => total + Number(number), 0);
}

const more = Object.fromEntries<number>(later);
const x86 = ["-D__i386__"];
const arm = ["-D__arm__", "-D__ARM_EABI__"];
// What some kernels define by an older name too, and marks that are no calls.
const {
  arch_specific_syscall: _,
  syscalls: __,
  ...aarch64
} = numbers("aarch64-linux-gnu", ["-D__aarch64__", "-D__LP64__"]);
const tables = {
  // The two that only x86-64 has.
  x86_64: { ...numbers("x86_64-linux-gnu", ["-D__x86_64__", "-D__LP64__"]), ...more, uretprobe: 335, uprobe: 336 },
  x86: { ...numbers("i686-linux-gnu", x86), ...more },
  aarch64: { ...aarch64, ...more },
  arm: { ...numbers("arm-linux-gnueabihf", arm), ...numbers("arm-linux-gnueabihf", arm, "__ARM_NR_"), ...more },
};
await writeFile(new URL("generated/syscalls.json", import.meta.url), `${JSON.stringify(tables)}\n`);
