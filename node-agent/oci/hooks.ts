// Runs hooks in the runtime's own namespaces: prestart, createRuntime, poststart, poststop.
import { spawnSync } from "node:child_process";
import type { Hook } from "./config.ts";
import type { State } from "./state.ts";

const outputBytesMax = 64 * 1024;

/** Throws at the first that fails. */
export function runHooks(hooks: readonly Hook[], state: State): void {
  for (const hook of hooks) runHook(hook, state);
}

/** All of them, whatever becomes of one: errors come back. */
export function tryHooks(hooks: readonly Hook[], state: State): readonly Error[] {
  return hooks.flatMap((hook) => {
    try {
      runHook(hook, state);
      return [];
    } catch (error) {
      return [error as Error];
    }
  });
}

function runHook(hook: Hook, state: State): void {
  const [argv0 = hook.path, ...args] = hook.args;
  const { status, signal, error, stderr } = spawnSync(hook.path, args, {
    argv0,
    env: Object.fromEntries(hook.env.map(splitVariable)),
    input: JSON.stringify(state),
    cwd: state.bundle,
    maxBuffer: outputBytesMax,
    encoding: "utf8",
    ...(hook.timeoutMs === 0 ? {} : { timeout: hook.timeoutMs, killSignal: "SIGKILL" as const }),
  });
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  if (code === "ETIMEDOUT") throw new Error(`hook ${hook.path}: ran longer than ${hook.timeoutMs} ms`);
  // It need not read its state.
  if (error !== undefined && code !== "EPIPE") throw new Error(`run hook ${hook.path}`, { cause: error });
  if (status !== 0) throw new Error(`hook ${hook.path} ended with ${status ?? signal}: ${stderr.split("\n")[0] ?? ""}`);
}

function splitVariable(entry: string): readonly [string, string] {
  const at = entry.indexOf("=");
  return at === -1 ? [entry, ""] : [entry.slice(0, at), entry.slice(at + 1)];
}
