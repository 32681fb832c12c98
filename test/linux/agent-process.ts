// An agent in a process of its own, so that a test can kill it: real runtime, images and disk; the test is its server and there is no
// network between pods.
import { createReadStream } from "node:fs";
import { join } from "node:path";
import type { Pod, PodStatus } from "../../api/kinds/generated/types.ts";
import { realClock } from "../../lib/clock.ts";
import { silentLogger } from "../../lib/log.ts";
import { realRandom } from "../../lib/random.ts";
import { type Agent, openAgent } from "../../node-agent/agent.ts";
import type { AgentOptions } from "../../node-agent/agent-options.ts";
import { openBuilder } from "../../node-agent/build/builder.ts";
import { openNodeCare } from "../../node-agent/eviction/open-node-care.ts";
import { openImages } from "../../node-agent/images/open-images.ts";
import { openSimulatedNetwork, SimulatedLinks } from "../../node-agent/network/simulated.ts";
import { readMachine } from "../../node-agent/node-status.ts";
import { sparedByOomKiller } from "../../node-agent/oom-score.ts";
import { openDiskStorage } from "../../node-agent/pods/disk-storage.ts";
import { realProbeTransport } from "../../node-agent/pods/probe-transport.ts";
import { openLinuxRuntime } from "../../node-agent/runtime/linux.ts";
import type { NodeStream } from "../../node-agent/session-types.ts";
import { streamHandler } from "../../node-agent/streams/serve-stream.ts";
import { TestSession } from "../../node-agent/test-session.ts";

export interface AgentProcessOptions {
  readonly directory: string;
  readonly launcherPath: string;
  readonly cgroupParent: string;
  /** Archives to import first. */
  readonly images: readonly string[];
  /** Absent: the node lets pods take what they want. */
  readonly care?: Pick<AgentOptions, "reserved" | "memory" | "eviction" | "imageCollection">;
}

export type ToAgent =
  | { readonly do: "put"; readonly pod: Pod }
  | { readonly do: "delete"; readonly pod: Pod }
  | { readonly do: "log"; readonly uid: string; readonly container: string; readonly previous: boolean }
  | { readonly do: "exec"; readonly uid: string; readonly container: string; readonly command: readonly string[] }
  /** Asks what the node is short of, and which images it has. */
  | { readonly do: "look" }
  | { readonly do: "tearDown" };

export type FromAgent =
  | { readonly is: "ready" }
  | { readonly is: "status"; readonly name: string; readonly status: PodStatus }
  | { readonly is: "gone"; readonly name: string }
  | { readonly is: "streamed"; readonly text: string; readonly exitCode: number; readonly error: string }
  | { readonly is: "seen"; readonly pressures: readonly string[]; readonly images: readonly string[] }
  | { readonly is: "event"; readonly reason: string; readonly message: string }
  | { readonly is: "tornDown" };

const tell = (message: FromAgent) => process.send?.(message);

if (process.argv[2] !== undefined) await main(JSON.parse(process.argv[2]));

async function main({
  directory,
  launcherPath,
  cgroupParent,
  images: archives,
  care,
}: AgentProcessOptions): Promise<void> {
  const parts = { clock: realClock, log: silentLogger, random: realRandom() };
  await sparedByOomKiller(silentLogger);
  const dataDir = join(directory, "data");
  const runDir = join(directory, "run");
  const runtime = await openLinuxRuntime({
    ...parts,
    runDir: join(runDir, "runtime"),
    stateDir: join(dataDir, "runtime"),
    launcherPath,
    cgroupParent,
  });
  const images = await openImages({ ...parts, dir: join(dataDir, "images"), runDir: join(runDir, "images") });
  if ((await images.list()).length === 0) {
    for (const archive of archives) await images.import(createReadStream(archive));
  }
  const storage = await openDiskStorage({ dataDir, runDir, images });
  const session = new TestSession();
  session.put("nodes", { metadata: { name: "n1" }, spec: { podCIDRs: ["10.244.1.0/24"] } });
  let opened: Agent | undefined;
  const cared =
    care === undefined
      ? undefined
      : await openNodeCare({
          ...{ ...parts, dataDir, runtime, images, storage },
          options: care,
          machine: await readMachine({ ...care, version: "test" }),
          agent: () => opened,
          onChange: () => {},
        });
  const agent = await openAgent({
    ...parts,
    runtime,
    images,
    network: openSimulatedNetwork(new SimulatedLinks()),
    storage,
    transport: realProbeTransport,
    cache: session.cache,
    reports: {
      ...session.reports,
      podStatus: ({ name }, status) => tell({ is: "status", name, status }),
      podGone: ({ name }) => tell({ is: "gone", name }),
      event: ({ reason = "", message = "" }) => tell({ is: "event", reason, message }),
    },
    node: {
      nodeName: "n1",
      nodeIp: "127.0.0.1",
      allocatableCpuMilli: 2000,
      allocatableMemoryBytes: 2 ** 30,
      allocatableEphemeralStorageBytes: 2 ** 30,
      memoryCapacityBytes: 2 ** 30,
      clusterDomain: "cluster.local",
    },
    refusal: (pod) => cared?.pressure.refusal(pod),
  });
  opened = agent;
  const builder = () => openBuilder({ images, runtime, clock: realClock });
  const serve = streamHandler({
    agent: () => agent,
    runtime,
    images,
    builder,
    storage,
    launcherPath,
    clock: realClock,
  });
  const stream = async (request: NodeStream["request"]) => {
    let text = "";
    const end = await serve({
      request,
      input: (async function* () {})(),
      send: async ({ data }) => {
        text += Buffer.from(data).toString();
      },
      signal: new AbortController().signal,
    }).catch((error: Error) => ({ exitCode: 1, error: error.message }));
    tell({ is: "streamed", text, ...end });
  };
  process.on("message", (message: ToAgent) => {
    const act = async () => {
      switch (message.do) {
        case "put":
          return session.put("pods", message.pod);
        case "delete":
          return session.delete(message.pod, 1);
        case "log": {
          const { uid: podUid, container, previous } = message;
          const value = { podUid, container, previous, follow: false, timestamps: false };
          return stream({ case: "log", value: { $typeName: "naru.node.v1.LogRequest", ...value } });
        }
        case "exec": {
          const { uid: podUid, container } = message;
          const value = {
            podUid,
            container,
            command: [...message.command],
            stdin: false,
            stdout: true,
            stderr: true,
            tty: false,
          };
          return stream({ case: "exec", value: { $typeName: "naru.node.v1.ExecRequest", ...value } });
        }
        case "look":
          return tell({
            is: "seen",
            pressures: [...(cared?.pressure.conditions.keys() ?? [])],
            images: (await images.list()).flatMap(({ tags }) => tags),
          });
        case "tearDown":
          cared?.pressure[Symbol.dispose]();
          await agent.stopPods(1000);
          agent.close();
          await runtime.tearDown();
          await storage.tearDown();
          await images[Symbol.asyncDispose]();
          tell({ is: "tornDown" });
          process.disconnect();
          return undefined;
      }
    };
    act().catch((error) => {
      console.error(error);
      process.exit(1);
    });
  });
  tell({ is: "ready" });
}
