// Joins a container that was just made: waits until it runs, passes what is typed and what it says, and gives its exit code.
import { pods } from "../api/kinds/generated/resources.ts";
import type { Container, Pod } from "../api/kinds/generated/types.ts";
import { realClock, sleep } from "../lib/clock.ts";
import { attachTo } from "./commands/attach.ts";
import type { Connection } from "./connection.ts";
import { pathOf } from "./resources.ts";

const askMs = 100;

type Joined = Pick<Container, "name" | "stdin" | "tty">;

/** The container's exit code. Without stdin and terminal its log is followed. */
export async function followContainer(
  connection: Connection,
  { pod, container }: { readonly pod: Pod; readonly container: Joined },
  signal: AbortSignal,
): Promise<number> {
  const { name: podName = "", namespace = "default" } = pod.metadata ?? {};
  const path = pathOf(pods, namespace, podName);
  const { name, stdin = false, tty = false } = container;
  const first = await untilStarted(connection, { path, name, accept: "running" }, signal);
  if ((stdin || tty) && first.ended === undefined)
    return attachTo(connection, { pod: first.pod, container: name, stdin, tty }, signal);
  // Nothing to type, or it was faster than we: what it writes is in its log.
  const log = await connection.open("GET", `${path}/log?container=${name}&follow=true`, { signal, accept: "*/*" });
  for await (const part of log) process.stdout.write(part as Buffer);
  const { ended } = await untilStarted(connection, { path, name, accept: "ended" }, signal);
  return ended ?? 0;
}

async function untilStarted(
  connection: Connection,
  { path, name, accept }: { readonly path: string; readonly name: string; readonly accept: "running" | "ended" },
  signal: AbortSignal,
): Promise<{ readonly pod: Pod /** With this exit code. */; readonly ended: number | undefined }> {
  let said = "";
  for (;;) {
    const pod = await connection.send<Pod>("GET", path, { signal });
    const {
      containerStatuses = [],
      ephemeralContainerStatuses = [],
      phase,
      reason: why = "",
      message: how = "",
    } = pod.status ?? {};
    const state = [...containerStatuses, ...ephemeralContainerStatuses].find((status) => status.name === name)?.state;
    if (state?.terminated !== undefined) return { pod, ended: state.terminated.exitCode };
    if (phase === "Failed") throw new Error(`pod ${pod.metadata?.name} failed: ${why}: ${how}`);
    if (state?.running !== undefined && accept === "running") return { pod, ended: undefined };
    const { reason = "", message = "" } = state?.waiting ?? {};
    const text = `${reason}: ${message}`;
    if (text !== said && message !== "") console.error(text);
    said = text;
    await sleep(realClock, askMs, signal);
  }
}
