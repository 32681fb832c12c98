// What a stage is at some point: its config, its arguments, and what each instruction that touches no file does to them. Pure.
import { signalNumber } from "../../lib/signals.ts";
import type { ImageConfig } from "../images/images.ts";
import { DockerfileError } from "./build.ts";
import { WordError } from "./dockerfile/cut-value.ts";
import type { CommandLine, Instruction } from "./dockerfile/instructions.ts";
import { expandWord, type Lookup } from "./dockerfile/words.ts";

export interface StageState {
  readonly config: ImageConfig;
  /** Arguments that were declared, with values. */
  readonly args: ReadonlyMap<string, string>;
  /** CMD of the image below goes when ENTRYPOINT is set, unless this stage has a CMD itself. */
  readonly hasCmd: boolean;
  readonly author: string | undefined;
}

export interface ArgSources {
  readonly given: Readonly<Record<string, string>>;
  /** Those before the first FROM. */
  readonly global: ReadonlyMap<string, string>;
}

export const emptyConfig: ImageConfig = {
  entrypoint: [],
  cmd: [],
  env: [],
  workingDir: "",
  user: "",
  stopSignal: undefined,
  exposedPorts: [],
  volumes: [],
  labels: {},
};

export const defaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const defaultShell = ["/bin/sh", "-c"];

/** Proxies reach RUN steps unasked, and leave no trace in the image or the cache's keys. */
export const silentArgs = ["HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"].flatMap((name) => [
  name,
  name.toLowerCase(),
]);

interface Place {
  readonly file: string;
  readonly escapeMark: string;
  readonly instruction: Instruction;
  /** Told what has no value. */
  readonly onUndefined?: (name: string) => void;
}

export class Expander {
  readonly #state: StageState;
  readonly #place: Place;

  constructor(state: StageState, place: Place) {
    this.#state = state;
    this.#place = place;
  }

  /** Throws DockerfileError with the instruction's place. */
  word(text: string): string {
    const lookup = lookupIn(this.#state);
    const told: Lookup = (name, how) => {
      const value = lookup(name, how);
      if (value === undefined && how.needed && !silentArgs.includes(name)) this.#place.onUndefined?.(name);
      return value;
    };
    try {
      return expandWord(text, told, this.#place.escapeMark);
    } catch (error) {
      if (error instanceof WordError) throw this.refusal(error.message);
      throw error;
    }
  }

  refusal(message: string): DockerfileError {
    const { instruction, file } = this.#place;
    return new DockerfileError(`${instruction.kind}: ${message}`, file, instruction.position);
  }
}

/** ENV before ARG. */
export function lookupIn({ config, args }: StageState): Lookup {
  return (name) => {
    const found = config.env.findLast((entry) => entry.startsWith(`${name}=`));
    return found === undefined ? args.get(name) : found.slice(name.length + 1);
  };
}

/** Undefined for an instruction that works on files. */
export function applyToConfig(
  state: StageState,
  instruction: Instruction,
  { expander, sources }: { readonly expander: Expander; readonly sources: ArgSources },
): StageState | undefined {
  const { config } = state;
  const word = (text: string) => expander.word(text);
  const withConfig = (changed: Partial<ImageConfig>): StageState => ({ ...state, config: { ...config, ...changed } });
  switch (instruction.kind) {
    case "ARG":
      return { ...state, args: declare(state.args, instruction.args, { word, sources }) };
    case "ENV":
      return withConfig({
        env: mergeEnv(
          config.env,
          instruction.pairs.map(({ key, value }) => [word(key), word(value)]),
        ),
      });
    case "LABEL": {
      const labels = Object.fromEntries(instruction.pairs.map(({ key, value }) => [word(key), word(value)]));
      return withConfig({ labels: { ...config.labels, ...labels } });
    }
    case "MAINTAINER":
      return { ...state, author: instruction.name };
    case "USER":
      return withConfig({ user: word(instruction.user) });
    case "STOPSIGNAL":
      return withConfig({ stopSignal: knownSignal(word(instruction.signal), expander) });
    case "EXPOSE":
      return withConfig({
        exposedPorts: union(
          config.exposedPorts,
          instruction.ports.flatMap((port) => readPorts(word(port), expander)),
        ),
      });
    case "VOLUME":
      return withConfig({ volumes: union(config.volumes, instruction.paths.map(word)) });
    case "SHELL":
      return withConfig({ shell: instruction.args });
    case "CMD":
      return { ...withConfig({ cmd: argsOf(instruction.command, config) }), hasCmd: true };
    case "ENTRYPOINT": {
      const entrypoint = argsOf(instruction.command, config);
      return withConfig(state.hasCmd ? { entrypoint } : { entrypoint, cmd: [] });
    }
    case "HEALTHCHECK":
      return withConfig({ healthcheck: healthcheckOf(instruction, config) });
    case "ONBUILD":
      return withConfig({ onBuild: [...(config.onBuild ?? []), instruction.trigger] });
    default:
      return undefined;
  }
}

/** A command as it is executed. */
export function argsOf(command: CommandLine, config: ImageConfig): readonly string[] {
  if (command.form === "exec") return command.args;
  return command.line === "" ? [] : [...(config.shell ?? defaultShell), command.line];
}

export function mergeEnv(env: readonly string[], pairs: readonly (readonly [string, string])[]): readonly string[] {
  const merged = new Map(env.map((entry) => [entry.split("=", 1)[0] ?? "", entry]));
  for (const [key, value] of pairs) merged.set(key, `${key}=${value}`);
  return [...merged.values()];
}

export function declare(
  args: ReadonlyMap<string, string>,
  declared: readonly { readonly name: string; readonly value: string | undefined }[],
  { word, sources }: { readonly word: (text: string) => string; readonly sources: ArgSources },
): ReadonlyMap<string, string> {
  const after = new Map(args);
  for (const { name, value } of declared) {
    const given = sources.given[name];
    const own = value === undefined ? sources.global.get(name) : word(value);
    if (given !== undefined) after.set(name, given);
    else if (own !== undefined) after.set(name, own);
  }
  return after;
}

function healthcheckOf(check: Extract<Instruction, { kind: "HEALTHCHECK" }>, config: ImageConfig) {
  const { command, intervalNs, timeoutNs, startPeriodNs, startIntervalNs, retries } = check;
  if (command === undefined) return { test: ["NONE"] };
  const some = (key: string, value: number) => (value === 0 ? {} : { [key]: value });
  const test =
    command.form === "exec"
      ? ["CMD", ...command.args]
      : config.shell === undefined
        ? ["CMD-SHELL", command.line]
        : ["CMD", ...config.shell, command.line];
  return {
    test,
    ...some("intervalNs", intervalNs),
    ...some("timeoutNs", timeoutNs),
    ...some("startPeriodNs", startPeriodNs),
    ...some("startIntervalNs", startIntervalNs),
    ...some("retries", retries),
  };
}

// "80", "80/udp", "8000-8002".
function readPorts(text: string, expander: Expander): readonly string[] {
  return text.split(/\s+/).flatMap((each) => {
    const [, from, , to = from, , protocol = "tcp"] = /^(\d{1,5})(-(\d{1,5}))?(\/(tcp|udp|sctp))?$/i.exec(each) ?? [];
    const [first, last] = [Number(from), Number(to)];
    if (from === undefined || first < 1 || last > 65_535 || last < first)
      throw expander.refusal(`${JSON.stringify(each)} is no port: 80, 80/udp or 8000-8010 is expected`);
    return Array.from({ length: last - first + 1 }, (_, i) => `${first + i}/${protocol.toLowerCase()}`);
  });
}

function knownSignal(text: string, expander: Expander): string {
  if (signalNumber(text) === undefined)
    throw expander.refusal(`${JSON.stringify(text)} is no signal: a name such as SIGINT or a number is expected`);
  return text;
}

function union(first: readonly string[], second: readonly string[]): readonly string[] {
  return [...new Set([...first, ...second])];
}
