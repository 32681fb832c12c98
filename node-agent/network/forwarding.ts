// Lets packets of virtual hosts pass the machine: forwarding is switched on for their bridge and the machine's way out only, and
// goes back to what it was when the last cluster that borrowed it is gone.
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

const lockTriesMax = 250;
const lockWaitMs = 20;

/** Holds, per link of the machine, a directory with the original value and a file per bridge whose hosts use it. */
export async function borrowForwarding(sharedRunDir: string, bridge: string): Promise<void> {
  await using _lock = await lockShared(sharedRunDir);
  await writeFile(settingOf(bridge), "1");
  for (const link of await linksOut()) {
    const directory = join(sharedRunDir, "forwarding", link);
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const value = (await readFile(settingOf(link), "utf8")).trim();
    // The first to borrow sees the machine's own value; later ones find it recorded.
    await writeFile(join(directory, "original"), value, { flag: "wx" }).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "EEXIST") throw error;
    });
    await writeFile(join(directory, `bridge ${bridge}`), "");
    if (value !== "1") await writeFile(settingOf(link), "1");
  }
}

/** Also drops the claims of bridges that are gone. Silent when nothing was borrowed. */
export async function returnForwarding(sharedRunDir: string, bridge: string): Promise<void> {
  const root = join(sharedRunDir, "forwarding");
  if (!existsSync(root)) return;
  await using _lock = await lockShared(sharedRunDir);
  for (const link of await readdir(root).catch(() => [])) {
    const directory = join(root, link);
    const entries = await readdir(directory).catch(() => []);
    let users = 0;
    for (const entry of entries.filter((name) => name.startsWith("bridge "))) {
      const name = entry.slice("bridge ".length);
      if (name !== bridge && existsSync(`/sys/class/net/${name}`)) users++;
      else await rm(join(directory, entry), { force: true });
    }
    if (users > 0) continue;
    const original = await readFile(join(directory, "original"), "utf8").catch(() => "");
    if (/^[01]$/.test(original) && existsSync(settingOf(link))) await writeFile(settingOf(link), original);
    await rm(directory, { recursive: true, force: true });
  }
}

/** One at a time on the machine: between looking at what others hold and changing it nobody may come. */
export async function lockShared(sharedRunDir: string): Promise<AsyncDisposable> {
  const path = join(sharedRunDir, "forwarding.lock");
  await mkdir(sharedRunDir, { recursive: true, mode: 0o700 });
  for (let tries = 0; ; tries++) {
    try {
      await writeFile(path, String(process.pid), { flag: "wx" });
      return { [Symbol.asyncDispose]: () => rm(path, { force: true }) };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
      const holder = await readFile(path, "utf8").catch(() => "");
      // Its holder was killed, or never wrote its id: nobody holds it for long.
      if (tries >= lockTriesMax || (holder !== "" && !existsSync(`/proc/${holder}`))) await rm(path, { force: true });
      else await delay(lockWaitMs);
    }
  }
}

async function linksOut(): Promise<readonly string[]> {
  const lines = (await readFile("/proc/net/route", "utf8")).trim().split("\n").slice(1);
  const isDefault = (line: string) => line.split("\t")[1] === "00000000" && line.split("\t")[7] === "00000000";
  return [...new Set(lines.filter(isDefault).flatMap((line) => line.split("\t")[0] ?? []))];
}

function settingOf(link: string): string {
  return `/proc/sys/net/ipv4/conf/${link}/forwarding`;
}
