// A runtime without a kernel: containers are records, programs are functions, time is the clock's. For the simulator and for tests.
import { PassThrough } from "node:stream";
import type { Clock } from "../../lib/clock.ts";
import { builtInHandlers, checkHandler } from "./oci-handlers.ts";
import {
  type Container,
  type ContainerSpec,
  type ContainerState,
  type ContainerStats,
  type ExecRequest,
  LaunchError,
  type ProcessStreams,
  type Runtime,
  type Sandbox,
} from "./runtime.ts";

/** What a container's first process, or an exec, does. */
export interface SimulatedProgram {
  /** Ends by itself after so long; absent: never. */
  readonly runMs?: number;
  readonly exitCode?: number;
  readonly oomKilled?: boolean;
  /** Its answer to a signal; absent: it ends with 128 + signal. "ignore" holds for all but SIGKILL. */
  readonly onSignal?: "ignore" | { readonly exitCode: number };
  /** For an exec: works on its streams and gives the exit code. */
  readonly work?: (streams: {
    readonly stdin: NodeJS.ReadableStream;
    readonly stdout: NodeJS.WritableStream;
    readonly stderr: NodeJS.WritableStream;
  }) => Promise<number>;
}

export interface SimulatedRuntimeOptions {
  readonly clock: Clock;
  /** undefined: there is no such program. */
  readonly program: (args: readonly string[], spec: ContainerSpec) => SimulatedProgram | undefined;
  readonly createMs?: () => number;
  readonly startMs?: () => number;
  /** Throws to make a step fail. */
  readonly fail?: (step: "create" | "start" | "remove" | "createSandbox" | "removeSandbox", id: string) => void;
}

interface Process {
  readonly spec: ContainerSpec;
  state: ContainerState;
  program: SimulatedProgram | undefined;
  readonly waiters: Set<() => void>;
}

/** The part that outlives agents: hand the same one to the next runtime of the node. */
export class SimulatedMachine {
  readonly processes = new Map<string, Process>();
  readonly sandboxes = new Map<string, Sandbox>();
  pid = 1;

  /** All is gone, as after a loss of power. */
  powerOff(): void {
    this.processes.clear();
    this.sandboxes.clear();
  }
}

type Stopped = Extract<ContainerState, { status: "stopped" }>;

const sigkill = 9;

export function openSimulatedRuntime(machine: SimulatedMachine, options: SimulatedRuntimeOptions): Runtime {
  const { clock, program, fail = () => {} } = options;
  const pause = (ms: number) =>
    ms <= 0 ? Promise.resolve() : new Promise<void>((resolve) => void clock.after(ms, resolve));
  const find = (id: string): Process => {
    const found = machine.processes.get(id);
    if (found === undefined) throw new Error(`container ${id} does not exist`);
    return found;
  };
  const end = (process: Process, how: Pick<Stopped, "exitCode" | "oomKilled"> & { signal?: number }) => {
    if (process.state.status !== "running") return;
    process.state = { status: "stopped", startedAtMs: process.state.startedAtMs, finishedAtMs: clock.now(), ...how };
    for (const waiter of [...process.waiters]) waiter();
  };
  const kill = (process: Process, signal: number) => {
    const reaction = process.program?.onSignal;
    if (signal === sigkill || reaction === undefined)
      end(process, { exitCode: 128 + signal, signal, oomKilled: false });
    else if (reaction !== "ignore") end(process, { exitCode: reaction.exitCode, oomKilled: false });
  };

  return {
    create: async (spec) => {
      if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,199}$/.test(spec.id))
        throw new Error(`id ${JSON.stringify(spec.id)} is no name`);
      fail("create", spec.id);
      if (machine.processes.has(spec.id)) throw new Error(`container ${spec.id} exists already`);
      machine.processes.set(spec.id, { spec, state: { status: "created" }, program: undefined, waiters: new Set() });
      await pause(options.createMs?.() ?? 0);
    },
    start: async (id) => {
      const process = find(id);
      await pause(options.startMs?.() ?? 0);
      fail("start", id);
      const running = program(process.spec.args, process.spec);
      if (running === undefined) throw new LaunchError(`exec ${process.spec.args[0]}: no such file or directory`, 127);
      process.program = running;
      const pid = ++machine.pid;
      const startedAtMs = clock.now();
      process.state = { status: "running", pid, startedAtMs };
      const { state } = process;
      if (running.runMs !== undefined) {
        clock.after(running.runMs, () => {
          if (process.state !== state) return;
          end(process, { exitCode: running.exitCode ?? 0, oomKilled: running.oomKilled === true });
        });
      }
      return { pid };
    },
    signal: async (id, signal) => {
      const process = machine.processes.get(id);
      if (process !== undefined) kill(process, signal);
    },
    wait: (id, signal) =>
      new Promise<Stopped>((resolve, reject) => {
        const process = find(id);
        const look = () => {
          if (process.state.status !== "stopped") return;
          leave();
          resolve(process.state);
        };
        const onAbort = () => {
          leave();
          reject(signal?.reason);
        };
        const leave = () => {
          process.waiters.delete(look);
          signal?.removeEventListener("abort", onAbort);
        };
        process.waiters.add(look);
        signal?.addEventListener("abort", onAbort, { once: true });
        look();
      }),
    exec: async (id, request) => {
      const { state, spec } = find(id);
      if (state.status !== "running") throw new Error(`container ${id} does not run: it is ${state.status}`);
      const running = program(request.args, spec);
      if (running === undefined) throw new LaunchError(`exec ${request.args[0]}: no such file or directory`, 127);
      return execStreams(running, request, clock);
    },
    attach: async (id) => {
      const process = find(id);
      return {
        ...execStreams({}, { args: [], terminal: false, stdin: process.spec.stdin }, clock),
        exit: new Promise((resolve) => {
          process.waiters.add(() => {
            if (process.state.status === "stopped") resolve({ exitCode: process.state.exitCode });
          });
        }),
      };
    },
    stats: async (id): Promise<ContainerStats> => {
      find(id);
      return { cpuUsageNs: 0, memoryUsageBytes: 0, memoryWorkingSetBytes: 0, pids: 1, oomKills: 0 };
    },
    processes: async (id) => {
      const { state } = find(id);
      return state.status === "running" ? [state.pid] : [];
    },
    pause: async (id) => void find(id),
    resume: async (id) => void find(id),
    update: async (id) => void find(id),
    limitGroup: () => {},
    remove: async (id) => {
      fail("remove", id);
      const process = machine.processes.get(id);
      if (process === undefined) return;
      end(process, { exitCode: 128 + sigkill, signal: sigkill, oomKilled: false });
      machine.processes.delete(id);
    },
    list: async () =>
      [...machine.processes.values()].map(
        ({ spec, state }): Container => ({ id: spec.id, labels: spec.labels, cgroupPath: spec.cgroupPath, state }),
      ),
    handlers: builtInHandlers,
    createSandbox: async (id, { sharePids, runtime }) => {
      fail("createSandbox", id);
      checkHandler(runtime, builtInHandlers);
      const made = machine.sandboxes.get(id) ?? {
        id,
        networkPath: `/simulated/${id}/net`,
        ipcPath: `/simulated/${id}/ipc`,
        utsPath: `/simulated/${id}/uts`,
        ...(sharePids === true ? { pidPath: `/simulated/${id}/pid` } : {}),
        ...(runtime === undefined ? {} : { runtime }),
      };
      machine.sandboxes.set(id, made);
      return made;
    },
    removeSandbox: async (id) => {
      fail("removeSandbox", id);
      machine.sandboxes.delete(id);
    },
    listSandboxes: async () => [...machine.sandboxes.values()],
    [Symbol.asyncDispose]: async () => {},
  };
}

function execStreams(program: SimulatedProgram, request: ExecRequest, clock: Clock): ProcessStreams {
  const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
  let kill = () => {};
  const exit = new Promise<{ exitCode: number }>((resolve) => {
    const finish = (exitCode: number) => {
      stdout.end();
      stderr.end();
      resolve({ exitCode });
    };
    kill = () => finish(128 + sigkill);
    if (program.work !== undefined) program.work({ stdin, stdout, stderr }).then(finish, () => finish(1));
    else if (program.runMs !== undefined) clock.after(program.runMs, () => finish(program.exitCode ?? 0));
  });
  return { stdin: request.stdin ? stdin : undefined, stdout, stderr, resize: () => {}, kill: () => kill(), exit };
}
