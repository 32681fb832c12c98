// Further processes in containers: made, started, looked at. Kept in memory, as their outputs are a client's.
import type { Duplex } from "node:stream";
import { LaunchError, type ProcessStreams } from "../../runtime/runtime.ts";
import type { JsonObject } from "../http/json.ts";
import { badRequest, conflict, DockerProblem, notFound } from "../http/problem.ts";
import { containersOwnUser } from "./container-users.ts";
import { eventAttributes } from "./create-container.ts";
import { parseDetachKeys } from "./detach-keys.ts";
import { joinStreams } from "./join-streams.ts";
import { type Life, launchText } from "./life.ts";
import { makeId } from "./names.ts";
import type { DockerParts } from "./parts.ts";
import type { ContainerRecord } from "./record.ts";
import { resolveUser } from "./start-container.ts";

export interface Exec {
  readonly id: string;
  readonly containerId: string;
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly cwd: string;
  /** "" is the container's. */
  readonly user: string;
  readonly terminal: boolean;
  readonly privileged: boolean;
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly detachKeys: string;
  /** Rows and columns of its terminal, when they are given with its making. */
  readonly size: readonly number[];
  process: ProcessStreams | undefined;
  started: boolean;
  /** undefined until it has ended. */
  exitCode: number | undefined;
  endedAtMs: number;
}

const keptMax = 1000;
const keptMs = 5 * 60_000;
const checkOutputBytesMax = 4096;

export class Execs {
  readonly #parts: DockerParts;
  readonly #life: Life;
  readonly #execs = new Map<string, Exec>();

  constructor(parts: DockerParts, life: Life) {
    this.#parts = parts;
    this.#life = life;
  }

  create(record: ContainerRecord, body: JsonObject): Exec {
    checkRuns(record);
    const args = body.texts("Cmd");
    if (args.length === 0) throw badRequest("No exec command specified");
    const exec: Exec = {
      id: makeId(this.#parts.random),
      containerId: record.id,
      args,
      env: body.texts("Env"),
      cwd: body.text("WorkingDir"),
      user: body.text("User"),
      terminal: body.flag("Tty"),
      privileged: body.flag("Privileged"),
      stdin: body.flag("AttachStdin"),
      stdout: body.flag("AttachStdout"),
      stderr: body.flag("AttachStderr"),
      detachKeys: body.text("DetachKeys"),
      size: body.numbers("ConsoleSize"),
      process: undefined,
      started: false,
      exitCode: undefined,
      endedAtMs: 0,
    };
    this.#sweep();
    this.#execs.set(exec.id, exec);
    this.#life.execIds(record.id).add(exec.id);
    this.#parts.events.emit(
      "container",
      `exec_create: ${args.join(" ")}`,
      record.id,
      eventAttributes(record, { execID: exec.id }),
    );
    return exec;
  }

  find(id: string): Exec {
    const exec = this.#execs.get(id);
    if (exec === undefined) throw notFound(`No such exec instance: ${id}`);
    return exec;
  }

  /** Refuses one that cannot start now. */
  checkStart(exec: Exec): void {
    checkRuns(this.#life.record(exec.containerId));
    if (exec.started) throw conflict(`exec ${exec.id} has run already`);
  }

  /** Resolves when it runs. */
  async start(
    exec: Exec,
    options: { readonly size: readonly number[]; readonly stdin: boolean },
  ): Promise<ProcessStreams> {
    this.checkStart(exec);
    const record = this.#life.record(exec.containerId);
    exec.started = true;
    try {
      const process = await this.#run(record, exec, options.stdin);
      exec.process = process;
      const [rows, columns] = options.size;
      if (exec.terminal && rows !== undefined && columns !== undefined && rows > 0) process.resize({ columns, rows });
      this.#parts.events.emit(
        "container",
        `exec_start: ${exec.args.join(" ")}`,
        record.id,
        eventAttributes(record, { execID: exec.id }),
      );
      process.exit.then(
        ({ exitCode }) => this.#ended(exec, exitCode),
        () => this.#ended(exec, 137),
      );
      return process;
    } catch (error) {
      this.#ended(exec, error instanceof LaunchError ? error.exitCode : 126);
      if (error instanceof LaunchError)
        throw new DockerProblem(400, `unable to start container process: ${launchText(error)}`, { cause: error });
      throw error;
    }
  }

  /** Joins it with its client until one of them is done. */
  async join(exec: Exec, process: ProcessStreams, client: Duplex, signal: AbortSignal): Promise<void> {
    const how = await joinStreams(
      process,
      client,
      {
        stdin: exec.stdin,
        stdout: exec.stdout,
        stderr: exec.stderr,
        terminal: exec.terminal,
        closeStdin: true,
        detachKeys: exec.terminal ? parseDetachKeys(exec.detachKeys) : undefined,
      },
      signal,
    );
    // Its last words are out before anyone asks how it ended.
    if (how === "ended") await process.exit.catch(() => {});
    else drain(process);
  }

  /** A health check's run. */
  async check(
    record: ContainerRecord,
    args: readonly string[],
    signal: AbortSignal,
  ): Promise<{ readonly exitCode: number; readonly output: string }> {
    const process = await this.#parts.runtime.exec(record.id, { args, terminal: false, stdin: false }, signal);
    let output = "";
    const collect = async (source: NodeJS.ReadableStream | undefined) => {
      for await (const part of source ?? []) if (output.length < checkOutputBytesMax) output += String(part);
    };
    await Promise.all([collect(process.stdout), collect(process.stderr)]);
    signal.throwIfAborted();
    return { exitCode: (await process.exit).exitCode, output };
  }

  show(exec: Exec): Readonly<Record<string, unknown>> {
    const [entrypoint = "", ...rest] = exec.args;
    return {
      ID: exec.id,
      Running: exec.started && exec.exitCode === undefined,
      ExitCode: exec.exitCode ?? null,
      ProcessConfig: { tty: exec.terminal, entrypoint, arguments: rest, privileged: exec.privileged, user: exec.user },
      OpenStdin: exec.stdin,
      OpenStderr: exec.stderr,
      OpenStdout: exec.stdout,
      CanRemove: exec.exitCode !== undefined,
      ContainerID: exec.containerId,
      DetachKeys: exec.detachKeys,
      Pid: 0,
    };
  }

  async #run(record: ContainerRecord, exec: Exec, stdin: boolean): Promise<ProcessStreams> {
    const { runtime } = this.#parts;
    const user = exec.user === "" ? undefined : await this.#user(record, exec.user);
    const home = user === undefined ? [] : [`HOME=${user.home}`];
    return runtime.exec(record.id, {
      args: exec.args,
      env: [...home, ...(exec.terminal ? ["TERM=xterm"] : []), ...exec.env],
      ...(exec.cwd === "" ? {} : { cwd: exec.cwd }),
      terminal: exec.terminal,
      stdin,
      ...(user === undefined ? {} : { user: { uid: user.uid, gid: user.gid, additionalGids: user.additionalGids } }),
      privileged: exec.privileged,
    });
  }

  async #user(record: ContainerRecord, text: string) {
    const { images } = this.#parts;
    const image = await images.find(record.imageId);
    if (image === undefined) throw conflict(`image ${record.imageId} of the container is not here any more`);
    const layer = await images.prepareLayer(record.id, image, { durable: true });
    const root = { containerId: record.id, pid: this.#life.live(record.id).pid };
    return resolveUser(layer, text)
      .catch(() => containersOwnUser(images, root, text))
      .catch((error: Error) => {
        throw badRequest(`unable to find user ${text}: ${error.message}`);
      });
  }

  #ended(exec: Exec, exitCode: number): void {
    const { clock, events, store } = this.#parts;
    exec.exitCode = exitCode;
    exec.process = undefined;
    exec.endedAtMs = clock.now();
    const record = store.get(exec.containerId);
    if (record === undefined) return;
    this.#life.execIds(record.id).delete(exec.id);
    events.emit(
      "container",
      "exec_die",
      record.id,
      eventAttributes(record, { execID: exec.id, exitCode: String(exitCode) }),
    );
  }

  // Those that ended stay for a while, for whoever asks how; those that run stay until they have.
  #sweep(): void {
    const oldMs = this.#parts.clock.now() - keptMs;
    for (const [id, exec] of this.#execs) {
      const isOver = exec.exitCode !== undefined || !exec.started;
      const isOld = exec.exitCode !== undefined && exec.endedAtMs < oldMs;
      const isOrphan = this.#parts.store.get(exec.containerId) === undefined;
      if (isOld || isOrphan || (isOver && this.#execs.size >= keptMax)) this.#forget(id, exec);
    }
  }

  #forget(id: string, { containerId }: Exec): void {
    this.#execs.delete(id);
    if (this.#parts.store.get(containerId) !== undefined) this.#life.execIds(containerId).delete(id);
  }
}

/** Goes on without anyone who listens. */
export function drain(process: ProcessStreams): void {
  (process.stdout as NodeJS.ReadableStream).resume();
  process.stderr?.resume();
}

function checkRuns(record: ContainerRecord): void {
  if (record.phase !== "running") throw conflict(`container ${record.id} is not running`);
  if (record.paused) throw conflict(`container ${record.name} is paused, unpause the container before exec`);
}
