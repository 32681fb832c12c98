// The same start-to-exit of a program that does nothing, by the OCI runtimes that this machine has.
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Result, summarize } from "./result.ts";

const runtimes = ["crun", "runc"];
const runs = 20;

/** Empty when there is no peer here. */
export async function measurePeers(): Promise<readonly Result[]> {
  const present = runtimes.filter((name) => spawnSync(name, ["--version"]).status === 0);
  if (present.length === 0) return [];
  const folder = mkdtempSync(join(tmpdir(), "naru-peers-"));
  try {
    makeBundle(folder);
    return present.map((runtime) => measure(runtime, folder)).filter((result) => result !== undefined);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function makeBundle(folder: string): void {
  mkdirSync(join(folder, "rootfs"));
  writeFileSync(join(folder, "true.c"), "int main(void) { return 0; }\n");
  const built = spawnSync("musl-gcc", ["-static", "-O2", "-o", join(folder, "true"), join(folder, "true.c")], {
    encoding: "utf8",
  });
  if (built.status !== 0) throw new Error(`compile the probe: ${built.stderr}`);
  cpSync(join(folder, "true"), join(folder, "rootfs", "true"));
}

function measure(runtime: string, folder: string): Result | undefined {
  rmSync(join(folder, "config.json"), { force: true });
  if (spawnSync(runtime, ["spec"], { cwd: folder }).status !== 0) return undefined;
  const config = JSON.parse(spawnSync("cat", [join(folder, "config.json")], { encoding: "utf8" }).stdout) as {
    process: { args: string[]; terminal: boolean };
  };
  config.process.args = ["/true"];
  config.process.terminal = false;
  writeFileSync(join(folder, "config.json"), JSON.stringify(config));
  const samples: number[] = [];
  for (let i = 0; i < runs; i++) {
    const startMs = performance.now();
    const { status, stderr } = spawnSync(runtime, ["run", "--bundle", folder, `naru-bench-${process.pid}-${i}`], {
      encoding: "utf8",
    });
    if (status !== 0) {
      console.error(`${runtime} cannot run here: ${stderr.trim().split("\n")[0]}`);
      return undefined;
    }
    samples.push(performance.now() - startMs);
  }
  return summarize(runtime, "ms", samples);
}
