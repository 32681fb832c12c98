// What every Runtime must do, whatever is below it. A harness makes runtimes and specs whose program behaves as told.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type ContainerSpec, LaunchError, type Runtime } from "./runtime.ts";

/** What a container's program does. */
export type Behaviour =
  | readonly ["exit", string]
  /** One line on each output, then exit 0. */
  | readonly ["print", string]
  /** Runs until SIGTERM, then exits 7. */
  | readonly ["sleep"]
  /** Runs until SIGKILL. */
  | readonly ["stubborn"]
  /** Copies stdin to stdout until its end. */
  | readonly ["cat"];

export interface ContractHarness extends AsyncDisposable {
  readonly runtime: Runtime;
  spec(id: string, behaviour: Behaviour, more?: Partial<ContainerSpec>): ContainerSpec;
  /** Another runtime over the same containers, as after a kill of the agent; the one before is not used again. */
  reopen(): Promise<Runtime>;
}

export function runtimeContract(name: string, open: () => Promise<ContractHarness>): void {
  const contract = (title: string, check: (harness: ContractHarness) => Promise<void>) =>
    test(`${name}: ${title}`, async () => {
      await using harness = await open();
      await check(harness);
    });

  contract("wait gives the exit code", async ({ runtime, spec }) => {
    await runtime.create(spec("a", ["exit", "3"]));
    await runtime.start("a");
    const { startedAtMs, finishedAtMs, ...rest } = await runtime.wait("a");
    assert.deepEqual(
      { ...rest, ordered: startedAtMs <= finishedAtMs },
      { status: "stopped", exitCode: 3, oomKilled: false, ordered: true },
    );
  });

  contract("signal ends a container as it wants to end", async ({ runtime, spec }) => {
    await runtime.create(spec("a", ["sleep"]));
    await runtime.start("a");
    const streams = await runtime.attach("a");
    streams.stdout.resume();
    await untilItTakesSignals(runtime, "a");
    assert.equal((await runtime.wait("a")).exitCode, 7);
  });

  contract("signal 9 ends a container that wants to stay, as 137", async ({ runtime, spec }) => {
    await runtime.create(spec("a", ["stubborn"]));
    await runtime.start("a");
    await runtime.signal("a", 9, "all");
    const { exitCode, signal } = await runtime.wait("a");
    assert.deepEqual({ exitCode, signal }, { exitCode: 137, signal: 9 });
  });

  contract("signal is silent when the container has ended", async ({ runtime, spec }) => {
    await runtime.create(spec("a", ["exit", "0"]));
    await runtime.start("a");
    await runtime.wait("a");
    await runtime.signal("a", 15);
  });

  contract("list gives labels and states", async ({ runtime, spec }) => {
    await runtime.create(spec("made", ["exit", "0"], { labels: { pod: "p" } }));
    await runtime.create(spec("ended", ["exit", "4"], { labels: {} }));
    await runtime.create(spec("runs", ["stubborn"], { labels: {} }));
    await runtime.start("ended");
    const { pid } = await runtime.start("runs");
    await runtime.wait("ended");
    assert.deepEqual(await summary(runtime), [
      ["ended", {}, "stopped 4"],
      ["made", { pod: "p" }, "created"],
      ["runs", {}, `running ${pid}`],
    ]);
  });

  contract("start of what does not exist is refused", async ({ runtime }) => {
    await assert.rejects(runtime.start("nobody"), /container nobody does not exist/);
  });

  contract("create of what exists is refused", async ({ runtime, spec }) => {
    await runtime.create(spec("a", ["exit", "0"]));
    await assert.rejects(runtime.create(spec("a", ["exit", "0"])), /container a exists already/);
  });

  contract("create refuses ids that are no names", async ({ runtime, spec }) => {
    for (const id of ["", ".", "..", "a/b", "a b", ".hidden", "x".repeat(201)])
      await assert.rejects(runtime.create({ ...spec("a", ["exit", "0"]), id }), /id /);
  });

  contract("start rejects with 127 for a program that is not there", async ({ runtime, spec }) => {
    await runtime.create({ ...spec("a", ["exit", "0"]), args: ["/nowhere"] });
    // Each in its own words.
    await assert.rejects(runtime.start("a"), launchError(/exec.*\/nowhere.*: no such file or directory$/i, 127));
    assert.deepEqual(await summary(runtime), [["a", { test: "a" }, "created"]]);
  });

  contract("remove kills, removes, and can be called again", async ({ runtime, spec }) => {
    await runtime.create(spec("a", ["stubborn"]));
    await runtime.start("a");
    await runtime.remove("a");
    await runtime.remove("a");
    assert.deepEqual(await runtime.list(), []);
    await runtime.create(spec("a", ["exit", "1"]));
    await runtime.start("a");
    assert.equal((await runtime.wait("a")).exitCode, 1);
  });

  contract("start again of a stopped container runs it again", async ({ runtime, spec }) => {
    await runtime.create(spec("a", ["exit", "6"]));
    for (let round = 0; round < 2; round++) {
      await runtime.start("a");
      assert.equal((await runtime.wait("a")).exitCode, 6);
    }
  });

  contract("list of another runtime knows what the one before made", async (harness) => {
    const { runtime, spec } = harness;
    for (const [id, behaviour] of [
      ["ended", ["exit", "5"]],
      ["runs", ["stubborn"]],
    ] as const) {
      await runtime.create(spec(id, behaviour));
      await runtime.start(id);
    }
    await runtime.create(spec("made", ["exit", "0"]));
    await runtime.wait("ended");
    const before = await summary(runtime);
    const adopted = await harness.reopen();
    assert.deepEqual(await summary(adopted), before);
    await adopted.signal("runs", 9);
    assert.equal((await adopted.wait("runs")).exitCode, 137);
    assert.equal((await adopted.wait("ended")).exitCode, 5);
  });

  contract("wait stops waiting when told", async ({ runtime, spec }) => {
    await runtime.create(spec("a", ["stubborn"]));
    await runtime.start("a");
    const stop = new AbortController();
    const waiting = runtime.wait("a", stop.signal);
    stop.abort(new Error("enough"));
    await assert.rejects(waiting, /enough/);
  });

  contract("exec gives outputs apart, and its exit code", async ({ runtime, spec }) => {
    await runtime.create(spec("a", ["stubborn"]));
    await runtime.start("a");
    const streams = await runtime.exec("a", {
      args: spec("b", ["print", "hello"]).args,
      terminal: false,
      stdin: false,
    });
    const [stdout, stderr, { exitCode }] = await Promise.all([
      readAll(streams.stdout),
      readAll(streams.stderr),
      streams.exit,
    ]);
    assert.deepEqual({ stdout, stderr, exitCode }, { stdout: "hello\n", stderr: "hello on stderr\n", exitCode: 0 });
  });

  contract("exec passes stdin on, and its end", async ({ runtime, spec }) => {
    await runtime.create(spec("a", ["stubborn"]));
    await runtime.start("a");
    const streams = await runtime.exec("a", { args: spec("b", ["cat"]).args, terminal: false, stdin: true });
    const big = "0123456789abcdef".repeat(20_000);
    streams.stdin?.end(big);
    const [stdout, stderr] = await Promise.all([readAll(streams.stdout), readAll(streams.stderr)]);
    assert.deepEqual(
      { same: stdout === big, stderr, exit: await streams.exit },
      { same: true, stderr: `end after ${big.length}\n`, exit: { exitCode: 0 } },
    );
  });

  contract("exec in a container that does not run is refused", async ({ runtime, spec }) => {
    await runtime.create(spec("a", ["exit", "0"]));
    const request = { args: ["/x"], terminal: false, stdin: false };
    await assert.rejects(runtime.exec("a", request), /container a does not run: it is created/);
  });

  contract(
    "createSandbox gives the same again, listSandboxes finds it, removeSandbox removes it",
    async ({ runtime }) => {
      const options = { hostname: "pod", hostNetwork: false, sysctls: {} };
      const made = await runtime.createSandbox("s", options);
      const again = await runtime.createSandbox("s", options);
      const listed = await runtime.listSandboxes();
      await runtime.removeSandbox("s");
      await runtime.removeSandbox("s");
      assert.deepEqual([again, listed, await runtime.listSandboxes()], [made, [made], []]);
    },
  );
}

export function launchError(message: string | RegExp, exitCode: number): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof LaunchError, `a LaunchError, not ${String(error)}`);
    if (typeof message !== "string") assert.match(error.message, message);
    const expected = typeof message === "string" ? message : error.message;
    assert.deepEqual({ message: error.message, exitCode: error.exitCode }, { message: expected, exitCode });
    return true;
  };
}

export async function readAll(stream: NodeJS.ReadableStream | undefined): Promise<string> {
  let text = "";
  for await (const part of stream ?? []) text += String(part);
  return text;
}

async function summary(runtime: Runtime): Promise<readonly (readonly [string, object, string])[]> {
  const lines = (await runtime.list()).map(({ id, labels, state }) => {
    const { status } = state;
    const detail = status === "running" ? ` ${state.pid}` : status === "stopped" ? ` ${state.exitCode}` : "";
    return [id, labels, status + detail] as const;
  });
  return lines.toSorted(([a], [b]) => a.localeCompare(b));
}

// The program needs a moment until its handler stands; the first process of a pid namespace ignores signals until then.
async function untilItTakesSignals(runtime: Runtime, id: string): Promise<void> {
  const stop = new AbortController();
  const ended = runtime.wait(id).finally(() => stop.abort());
  while (!stop.signal.aborted) {
    await runtime.signal(id, 15);
    await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 20))]);
  }
}
