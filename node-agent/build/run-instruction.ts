// RUN: what its key is made of, and what its container is given.
import { chmod, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { hostPlatform, platformName } from "../images/manifest.ts";
import type { Instruction } from "./dockerfile/instructions.ts";
import { withoutHeredocs } from "./dockerfile/lines.ts";
import { canRun } from "./platforms.ts";
import { prepareMounts } from "./run-mounts.ts";
import { explainLaunch, runStep } from "./run-step.ts";
import { argsOf, silentArgs } from "./stage-state.ts";
import { digest, epochOf, layerStep, type StageResult, type StepWork, stepError } from "./step-work.ts";

type Run = Extract<Instruction, { kind: "RUN" }>;

const root = { uid: 0, gid: 0, additionalGids: [], home: "/root" };

export async function runInstruction(instruction: Run, work: StepWork): Promise<StageResult> {
  const { parts, before, stage, builder, step } = work;
  const { options } = parts;
  const { config, args } = before.state;
  const argList = [...args].filter(([name]) => !silentArgs.includes(name)).map(([name, value]) => `${name}=${value}`);
  const network = instruction.network ?? options.network ?? "default";
  const script = scriptOf(instruction);
  const froms = await mountKeys(instruction, work);
  const key = digest([
    ...[before.key, "RUN", JSON.stringify(commandOf(instruction, work)), script ?? ""],
    ...[JSON.stringify(instruction.mounts), JSON.stringify(froms), network, config.workingDir, config.user],
    ...[JSON.stringify(config.env), JSON.stringify(argList), String(epochOf(options) ?? "")],
  ]);
  const shown = commandOf(instruction, work).join(" ");
  const createdBy = `RUN ${argList.length === 0 ? "" : `|${argList.length} ${argList.join(" ")} `}${shown}`;
  return await layerStep(work, { key, createdBy }, async (draft) => {
    if (!(await canRun(before.platform)))
      throw stepError(
        instruction,
        `programs of ${platformName(before.platform)} do not run here: this node is ${platformName(hostPlatform())}, and its kernel knows no interpreter of them in every container (binfmt_misc with flag F, such as qemu-user-static registers); COPY and ADD need none`,
      );
    await using stack = new AsyncDisposableStack();
    const mounts = await prepareMounts(
      instruction.mounts,
      {
        workshop: parts.workshop,
        locks: parts.locks,
        secrets: options.secrets ?? {},
        cwd: config.workingDir,
        layersOf: (name) => builder.layersOf(work.expander.word(name), stage, step),
        contextPath: parts.context.path,
        refuse: (message) => stepError(instruction, message),
      },
      stack,
    );
    const scripts = script === undefined ? [] : [await scriptMount(script, work, stack)];
    const { home, ...user } = config.user === "" ? root : await parts.workshop.resolveUser(before.diffIds, config.user);
    const { exitCode, stubs } = await runStep(
      parts,
      {
        diffIds: before.diffIds,
        draft,
        args: script === undefined ? commandOf(instruction, work) : [scriptPath],
        env: environment(work, { argList, extra: mounts.env, home }),
        cwd: config.workingDir,
        user,
        mounts: [...mounts.mounts, ...scripts],
        network,
        hosts: (options.extraHosts ?? []).map(hostLine),
        shmBytes: options.shmBytes,
        onOutput: (stream, data) => step.output(stream, data),
      },
      parts.signal,
    ).catch((error: unknown) => {
      const words = explainLaunch(error);
      if (words === undefined) throw error;
      throw stepError(instruction, `process ${JSON.stringify(shown)} cannot be started: ${words}`, 127);
    });
    parts.signal.throwIfAborted();
    if (exitCode !== 0)
      throw stepError(
        instruction,
        `process ${JSON.stringify(shown)} did not complete successfully: exit code: ${exitCode}`,
        exitCode,
      );
    return { stubs };
  });
}

const scriptPath = "/dev/pipes/script";

// A heredoc alone is the script; with an interpreter of its own it is executed as a file.
function scriptOf({ command, heredocs }: Run): string | undefined {
  const [heredoc] = heredocs;
  if (command.form === "exec" || heredocs.length !== 1 || heredoc === undefined || withoutHeredocs(command.line) !== "")
    return undefined;
  return heredoc.content.startsWith("#!") ? heredoc.content : undefined;
}

function commandOf({ command, heredocs }: Run, { before }: StepWork): readonly string[] {
  const { config } = before.state;
  if (command.form === "exec" || heredocs.length === 0) return argsOf(command, config);
  const [first] = heredocs;
  const isScript = heredocs.length === 1 && withoutHeredocs(command.line) === "";
  // Otherwise the shell reads them itself.
  const line = isScript
    ? (first?.content ?? "")
    : [command.line, ...heredocs.map(({ name, content }) => `${content}${name}`)].join("\n");
  return argsOf({ form: "shell", line }, config);
}

async function scriptMount(script: string, { parts }: StepWork, stack: AsyncDisposableStack) {
  const { workshop } = parts;
  const draft = await workshop.begin();
  stack.defer(() => workshop.discard(draft));
  const file = join(draft.folder, "script");
  await writeFile(file, script);
  await chmod(file, 0o755);
  return { destination: scriptPath, type: "bind", source: file, options: ["rbind", "ro"] };
}

// What a step takes from other stages belongs to its key.
async function mountKeys(
  instruction: Run,
  { builder, stage, step, expander, parts }: StepWork,
): Promise<readonly string[]> {
  const keys: string[] = [];
  for (const mount of instruction.mounts) {
    if (mount.type !== "bind") continue;
    if (mount.from !== undefined) keys.push(...(await builder.layersOf(expander.word(mount.from), stage, step)));
    else {
      const path = mount.source.replace(/^\/+|\/+$/g, "");
      const files = await parts.context.below(path === "." ? "" : path);
      keys.push(digest(files.map(({ path: name, kind, mode, detail }) => `${name} ${kind} ${mode} ${detail}`)));
    }
  }
  return keys;
}

function environment(
  { parts, before }: StepWork,
  {
    argList,
    extra,
    home,
  }: { readonly argList: readonly string[]; readonly extra: readonly string[]; readonly home: string },
): readonly string[] {
  const given = parts.options.buildArgs ?? {};
  // Programs look for proxies in capitals or not: what is given in one is there in both.
  const silent = silentArgs.flatMap((name) => {
    const value = given[name] ?? given[name.toLowerCase()] ?? given[name.toUpperCase()];
    return value === undefined ? [] : [`${name}=${value}`];
  });
  const all = new Map<string, string>();
  // Proxies and arguments first: ENV comes before them.
  for (const entry of [`HOME=${home}`, ...silent, ...argList, ...before.state.config.env, ...extra])
    all.set(entry.split("=", 1)[0] ?? "", entry);
  return [...all.values()];
}

function hostLine(text: string): string {
  const [name = "", address = ""] = [text.slice(0, text.search(/[:=]/)), text.slice(text.search(/[:=]/) + 1)];
  return `${address} ${name}`;
}
