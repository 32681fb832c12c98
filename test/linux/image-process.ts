// A process that works with images until it is killed: for tests of what is left then. Its argument is JSON; it prints a line whenever
// something is done.
import { realClock } from "../../lib/clock.ts";
import { silentLogger } from "../../lib/log.ts";
import { realRandom } from "../../lib/random.ts";
import { openBuilder } from "../../node-agent/build/builder.ts";
import { openImages } from "../../node-agent/images/open-images.ts";
import { type LinuxRuntimeOptions, openLinuxRuntime } from "../../node-agent/runtime/linux.ts";

export interface ImageWork {
  readonly imagesDir: string;
  readonly runtime: Omit<LinuxRuntimeOptions, "clock" | "log">;
  readonly work:
    | { readonly do: "pull" | "push"; readonly reference: string }
    | { readonly do: "commit"; readonly containerId: string; readonly tag: string }
    | { readonly do: "build"; readonly context: string; readonly tag: string };
}

const { imagesDir, runtime: runtimeOptions, work } = JSON.parse(process.argv[2] ?? "") as ImageWork;
const say = (text: string) => void process.stdout.write(`${text}\n`);
const images = await openImages({ dir: imagesDir, clock: realClock, random: realRandom(), log: silentLogger });
const anonymous = { credentials: [], onProgress: (progress: object) => say(JSON.stringify(progress)) };
say("open");
switch (work.do) {
  case "pull":
    await images.pull(work.reference, anonymous);
    break;
  case "push":
    await images.push(work.reference, anonymous);
    break;
  case "commit":
    await images.commit(work.containerId, { tag: work.tag });
    break;
  case "build": {
    const runtime = await openLinuxRuntime({ ...runtimeOptions, clock: realClock, log: silentLogger });
    const builder = await openBuilder({ images, runtime, clock: realClock });
    await builder.build({ type: "folder", path: work.context }, { tags: [work.tag] }, (event) =>
      say(event.type === "output" ? event.data.toString() : JSON.stringify(event)),
    );
    break;
  }
}
say("done");
