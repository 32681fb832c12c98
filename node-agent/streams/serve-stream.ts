// Finds what a stream of the server is about and lets it be served.
import type { Clock } from "../../lib/clock.ts";
import type { Agent } from "../agent.ts";
import type { Builder } from "../build/build.ts";
import type { ImageLibrary } from "../images/library.ts";
import { initialised } from "../pods/next-container-step.ts";
import { type ContainerRecord, containersOf } from "../pods/pod-state.ts";
import type { PodWorker } from "../pods/pod-worker.ts";
import type { PodStorage } from "../pods/storage.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { NodeStream, StreamEnd, StreamHandler } from "../session-types.ts";
import { serveImages } from "./image-stream.ts";
import { logFiles } from "./log-records.ts";
import { streamLog } from "./log-stream.ts";
import { forwardPort } from "./port-forward-stream.ts";
import { joinProcess } from "./process-stream.ts";
import type { LogSource } from "./read-log.ts";
import { serveStats } from "./stats-stream.ts";

export interface StreamParts {
  readonly agent: () => Agent | undefined;
  readonly runtime: Runtime;
  readonly images: ImageLibrary;
  readonly builder: () => Promise<Builder>;
  readonly storage: PodStorage;
  readonly launcherPath: string;
  readonly clock: Clock;
}

export function streamHandler(parts: StreamParts): StreamHandler {
  return async (stream) => {
    const { request } = stream;
    switch (request.case) {
      case "log": {
        const { podUid, container, previous } = request.value;
        const worker = findPod(parts, podUid);
        return streamLog(request.value, await logSource(parts, worker, { container, previous }), stream);
      }
      case "exec": {
        const { podUid, container, command, tty, stdin } = request.value;
        const id = runningId(findPod(parts, podUid), container);
        const process = await parts.runtime.exec(id, { args: command, terminal: tty, stdin }, stream.signal);
        return joinProcess(process, { ...request.value, endsStdin: true }, stream);
      }
      case "attach": {
        const { podUid, container } = request.value;
        const worker = findPod(parts, podUid);
        const process = await parts.runtime.attach(runningId(worker, container), stream.signal);
        const spec = containersOf(worker.pod).find((each) => each.container.name === container)?.container;
        return joinProcess(process, { ...request.value, endsStdin: spec?.stdinOnce === true }, stream);
      }
      case "portForward":
        return portForward(parts, request.value, stream);
      case "image":
        return serveImages(request.value, parts, stream);
      case "stats":
        return serveStats(parts, stream);
      case undefined:
        return { exitCode: 1, error: "the server asked for nothing that this node knows" };
    }
  };
}

function portForward(
  parts: StreamParts,
  { podUid, port }: { readonly podUid: string; readonly port: number },
  stream: NodeStream,
): Promise<StreamEnd> {
  const { ips, pod, sandboxNetworkPath } = findPod(parts, podUid);
  if (ips.length === 0) throw new Error("the pod has no address yet");
  const networkPath = pod.spec?.hostNetwork === true ? undefined : sandboxNetworkPath;
  return forwardPort({ networkPath, port }, parts.launcherPath, stream);
}

function findPod({ agent }: StreamParts, uid: string): PodWorker {
  const worker = agent()?.worker(uid);
  if (worker === undefined) throw new Error("the pod is not on this node");
  return worker;
}

function findContainer(worker: PodWorker, name: string): ContainerRecord {
  const record = worker.containers.find((each) => each.name === name);
  if (record === undefined)
    throw new Error(`container ${name} is not valid for pod ${worker.pod.metadata?.name ?? ""}`);
  return record;
}

function runningId(worker: PodWorker, name: string): string {
  const { now } = findContainer(worker, name);
  if (now.phase !== "Running" && now.phase !== "Stopping")
    throw new Error(`container ${name} is not running: ${describe(now)}`);
  return now.id;
}

/** The run whose log is meant: the current one, the last one that wrote, or the one before. A run that wrote nothing has no file. */
async function logSource(
  { storage }: StreamParts,
  worker: PodWorker,
  { container, previous }: { readonly container: string; readonly previous: boolean },
): Promise<LogSource> {
  const record = findContainer(worker, container);
  const podName = worker.pod.metadata?.name ?? "";
  const newest = record.attempt - (previous ? 1 : 0);
  const sourceOf = (attempt: number): LogSource => ({
    path: storage.logPath(worker.pod, container, attempt),
    live: () => mayWrite(worker, container, attempt),
  });
  if (!previous && hasRun(record.now)) return sourceOf(newest);
  for (let attempt = newest; attempt >= 0 && attempt >= newest - 1; attempt--) {
    const source = sourceOf(attempt);
    if ((await logFiles(source.path)).length > 0) return source;
    if (previous) break;
  }
  // It has ended without a word.
  if (record.last !== undefined || (!previous && record.now.phase === "Exited")) return sourceOf(newest);
  if (previous) throw new Error(`previous terminated container "${container}" in pod "${podName}" not found`);
  throw new Error(`container "${container}" in pod "${podName}" is waiting to start: ${whyWaiting(worker, record)}`);
}

/** As its status says. */
function whyWaiting({ containers }: PodWorker, { role, now }: ContainerRecord): string {
  return role === "main" && describe(now) === creating && !initialised(containers) ? "PodInitializing" : describe(now);
}

/** Also when it wrote nothing yet. */
function hasRun(now: ContainerRecord["now"]): boolean {
  return now.phase === "Running" || now.phase === "Stopping";
}

function mayWrite(worker: PodWorker, name: string, attempt: number): boolean {
  const record = worker.containers.find((each) => each.name === name);
  if (record === undefined || record.attempt !== attempt) return false;
  return record.now.phase === "Running" || record.now.phase === "Stopping" || record.now.phase === "Starting";
}

const creating = "ContainerCreating";

function describe(now: ContainerRecord["now"]): string {
  switch (now.phase) {
    case "Waiting":
      return now.reason === "" ? creating : now.reason;
    case "Starting":
      return creating;
    case "Exited":
      return `it ended with exit code ${now.exit.exitCode}`;
    default:
      return now.phase;
  }
}
