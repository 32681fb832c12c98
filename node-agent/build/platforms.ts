// Which platform a stage is of, and whether this machine can run programs of it.
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Platform } from "../images/library.ts";
import { hostPlatform } from "../images/manifest.ts";

const interpreters = "/proc/sys/fs/binfmt_misc";
/** e_machine of ELF by Go's names, two bytes as a file has them. Source: elf.h. */
const machines: Readonly<Record<string, string>> = {
  "386": "0300",
  amd64: "3e00",
  arm: "2800",
  arm64: "b700",
  loong64: "0201",
  mips64le: "0800",
  ppc64le: "1500",
  riscv64: "f300",
  s390x: "0016",
};
const machineAt = 18;

/** "linux/arm64", "linux/arm/v7"; undefined when it names none that images are made for. */
export function readPlatform(text: string): Platform | undefined {
  const [os = "", architecture = "", variant, ...rest] = text.toLowerCase().split("/");
  if (os !== "linux" || !/^[a-z0-9_]+$/.test(architecture) || rest.length > 0) return undefined;
  const known = { x86_64: "amd64", aarch64: "arm64", x64: "amd64" }[architecture] ?? architecture;
  return { os, architecture: known, ...(variant === undefined || variant === "" ? {} : { variant }) };
}

export function samePlatform(a: Platform, b: Platform): boolean {
  return a.os === b.os && a.architecture === b.architecture;
}

/** Whether programs of a platform run here: they are this machine's own, or binfmt_misc knows an interpreter of them. */
export async function canRun(platform: Platform, directory = interpreters): Promise<boolean> {
  if (samePlatform(platform, hostPlatform())) return true;
  const machine = machines[platform.architecture];
  if (machine === undefined) return false;
  const names = await readdir(directory).catch(() => []);
  const entries = await Promise.all(
    names
      .filter((name) => name !== "register" && name !== "status")
      .map((name) => readFile(join(directory, name), "utf8").catch(() => "")),
  );
  return entries.some((entry) => interprets(entry, machine));
}

// F: the interpreter was opened when it was registered, so that it is there in every container. Source: the kernel's binfmt-misc.rst.
function interprets(entry: string, machine: string): boolean {
  const lines = entry.split("\n");
  const field = (name: string) => lines.find((line) => line.startsWith(`${name} `))?.slice(name.length + 1) ?? "";
  const magic = field("magic");
  const flags = lines.find((line) => line.startsWith("flags:")) ?? "";
  return (
    lines[0] === "enabled" &&
    flags.includes("F") &&
    field("offset") === "0" &&
    magic.startsWith("7f454c46") &&
    magic.slice(2 * machineAt, 2 * machineAt + 4) === machine
  );
}
