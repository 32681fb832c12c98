// Writes generated/syscalls.json out of the kernel's headers: system call numbers by architecture, in the words of seccomp profiles.
import { readFile, writeFile } from "node:fs/promises";

const headers = "/usr/include/x86_64-linux-gnu/asm";

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

async function numbers(file: string): Promise<Record<string, number>> {
  const text = await readFile(`${headers}/${file}`, "utf8");
  return Object.fromEntries<number>([
    ...[...text.matchAll(/^#define __NR_(\w+)\s+(\d+)$/gm)].map(
      ([, name, number]) => [String(name), Number(number)] as const,
    ),
    ...later,
  ]);
}

// The two that only x86-64 has.
const tables = {
  x86_64: { ...(await numbers("unistd_64.h")), uretprobe: 335, uprobe: 336 },
  x86: await numbers("unistd_32.h"),
};
await writeFile(new URL("generated/syscalls.json", import.meta.url), `${JSON.stringify(tables)}\n`);
