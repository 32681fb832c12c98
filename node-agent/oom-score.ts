// When the whole machine is out of memory, the kernel should take a container, not what looks after all of them.
import { writeFile } from "node:fs/promises";
import type { Logger } from "../lib/log.ts";

/** As the kubelet and container runtimes have it; below it nothing is ever taken. Containers always get a number of their own. */
const ownScoreAdj = -999;

/** Of this process and those that it starts from here on: the launcher and the monitors. */
export async function sparedByOomKiller(log: Logger): Promise<void> {
  await writeFile("/proc/self/oom_score_adj", String(ownScoreAdj)).catch((error: Error) =>
    log.info({ error: error.message }, "the kernel may end the agent when memory runs out"),
  );
}
