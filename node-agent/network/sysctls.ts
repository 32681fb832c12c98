// Kernel settings of this network namespace that the network needs: set when they differ, put back as they were at the end.
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";

export class Sysctls {
  readonly #recordPath: string;

  constructor(recordPath: string) {
    this.#recordPath = recordPath;
  }

  /** `settings` by path below /proc/sys/net, such as "ipv4/conf/eth0/forwarding". What was there is recorded before it is changed. */
  async set(settings: Readonly<Record<string, string>>): Promise<void> {
    const changed: [string, string][] = [];
    const recorded = await this.#read();
    for (const [path, value] of Object.entries(settings)) {
      const before = (await readFile(file(path), "utf8")).trim();
      if (before === value) continue;
      recorded[path] ??= before;
      changed.push([path, value]);
    }
    if (changed.length === 0) return;
    await this.#write(recorded);
    for (const [path, value] of changed) await writeFile(file(path), value);
  }

  /** What was set goes back; silent about links that are gone. */
  async restore(): Promise<void> {
    for (const [path, value] of Object.entries(await this.#read())) {
      await writeFile(file(path), value).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== "ENOENT") throw error;
      });
    }
    await rm(this.#recordPath, { force: true });
  }

  async #read(): Promise<Record<string, string>> {
    const text = await readFile(this.#recordPath, "utf8").catch(() => "{}");
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed !== "object" || parsed === null) return {};
    const entries = Object.entries(parsed).filter(([path]) => /^ipv[46]\/conf\/[^/]+\/[a-z_]+$/.test(path));
    return Object.fromEntries(entries.map(([path, value]) => [path, String(value)]));
  }

  async #write(recorded: Readonly<Record<string, string>>): Promise<void> {
    await mkdir(dirname(this.#recordPath), { recursive: true });
    await writeFile(`${this.#recordPath}.new`, JSON.stringify(recorded));
    await rename(`${this.#recordPath}.new`, this.#recordPath);
  }
}

// A link's name with a dot in it is a name here, not a path.
function file(path: string): string {
  return `/proc/sys/net/${path}`;
}
