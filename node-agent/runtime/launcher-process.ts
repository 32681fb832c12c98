// Keeps a launcher running and a connection to it open: starts one when none answers, again when it was killed.
import { spawn } from "node:child_process";
import { accessSync, closeSync, constants, mkdirSync, openSync } from "node:fs";
import { join } from "node:path";
import { type Clock, sleep } from "../../lib/clock.ts";
import type { Logger } from "../../lib/log.ts";
import { LauncherClient, LauncherGoneError, type RequestArguments } from "./launcher-client.ts";

/** Nobody listens there, or who did was killed before it took us up. */
const absentCodes: readonly (string | undefined)[] = ["ENOENT", "ECONNREFUSED", "ECONNRESET", "EAGAIN"];
const connectTriesMax = 500;
const connectWaitMs = 10;

export interface LauncherProcessOptions {
  readonly runDir: string;
  readonly containersDir: string;
  readonly launcherPath: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly onContainer: (event: string, id: string, text: string) => void;
  /** After a launcher was lost and a new one answers: what happened between is on disk. */
  readonly onReconnected: () => void;
}

export class LauncherProcess {
  readonly #options: LauncherProcessOptions;
  #client: Promise<LauncherClient> | undefined;
  #closed = false;

  constructor(options: LauncherProcessOptions) {
    this.#options = options;
  }

  get socketPath(): string {
    return join(this.#options.runDir, "launcher.sock");
  }

  /** The open connection, or a new one. */
  client(): Promise<LauncherClient> {
    if (this.#closed) return Promise.reject(new LauncherGoneError("the runtime is closed"));
    this.#client ??= this.#connect().catch((error: unknown) => {
      this.#client = undefined;
      throw error;
    });
    return this.#client;
  }

  /** Performs an op (node-agent/launcher/README.md); rejects with LauncherError, or LauncherGoneError. */
  async request(...[op, args, options]: RequestArguments): Promise<readonly string[]> {
    const client = await this.client();
    if (options?.aside === true) return LauncherClient.aside(this.socketPath, op, args, options);
    return client.request(op, args, options);
  }

  async close(): Promise<void> {
    this.#closed = true;
    const client = await this.#client?.catch(() => undefined);
    client?.close();
  }

  async #connect(): Promise<LauncherClient> {
    const events = { onContainer: this.#options.onContainer, onClose: () => this.#onClose() };
    let started = false;
    for (let tries = 0; ; tries++) {
      try {
        return await LauncherClient.connect(this.socketPath, events);
      } catch (error) {
        const code = (error as NodeJS.ErrnoException).code;
        const absent = absentCodes.includes(code) || error instanceof LauncherGoneError;
        if (!absent || tries >= connectTriesMax || this.#closed)
          throw new Error(`connect to the launcher at ${this.socketPath}`, { cause: error });
      }
      // Started again now and then: the one of before may have ended between our look and its lock.
      if (!started || tries % 50 === 0) this.#start();
      started = true;
      await sleep(this.#options.clock, connectWaitMs);
    }
  }

  #start(): void {
    const { runDir, containersDir, launcherPath, log } = this.#options;
    try {
      accessSync(launcherPath, constants.X_OK);
    } catch (cause) {
      throw new Error(`the launcher ${launcherPath} cannot be executed; node-agent/launcher/build.sh makes it`, {
        cause,
      });
    }
    mkdirSync(runDir, { recursive: true, mode: 0o700 });
    const output = openSync(join(runDir, "launcher.log"), "a", 0o600);
    const child = spawn(launcherPath, ["serve", runDir, containersDir], {
      cwd: "/",
      detached: true,
      env: {},
      stdio: ["ignore", output, output],
    });
    child.on("error", (error) => log.error({ error, launcherPath }, "cannot start the launcher"));
    child.unref();
    closeSync(output);
    log.info({ pid: child.pid, runDir }, "started the launcher");
  }

  #onClose(): void {
    this.#client = undefined;
    if (this.#closed) return;
    this.#options.log.warn({ runDir: this.#options.runDir }, "lost the launcher");
    this.client().then(this.#options.onReconnected, (error: unknown) => {
      if (!this.#closed) this.#options.log.error({ error }, "cannot reach the launcher");
    });
  }
}
