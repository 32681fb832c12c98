// Version 1's cpusets hold nothing until they are told what, from the top down: a new one gets what the one above has.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { CgroupLayout } from "./cgroups.ts";

/** That of `path` and those above it, as far as they are not there. */
export function prepareCpuset(layout: CgroupLayout, path: string): void {
  const mount = layout.version === 1 ? layout.mounts["cpuset"] : undefined;
  if (mount === undefined) return;
  let above = mount;
  for (const name of path.split("/").filter((part) => part !== "")) {
    const own = join(above, name);
    mkdirSync(own, { recursive: true });
    for (const file of ["cpuset.cpus", "cpuset.mems"])
      if (readFileSync(join(own, file), "utf8").trim() === "")
        writeFileSync(join(own, file), readFileSync(join(above, file), "utf8"));
    above = own;
  }
}
