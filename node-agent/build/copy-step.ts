// COPY and ADD: which files, whose, from where to where; archives and downloads for ADD.
import { rename, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { resolveUser } from "../images/users.ts";
import type { Draft } from "../images/workshop.ts";
import { looksLikeArchive, readFileOf } from "./archives.ts";
import { type CopyPlan, contentKey, type Placement, pivotOf, planCopy } from "./copy-plan.ts";
import type { CopyBody, Instruction } from "./dockerfile/instructions.ts";
import { parseMode } from "./dockerfile/modes.ts";
import { type Ignore, ignoreOf, isPattern } from "./dockerfile/patterns.ts";
import { expandText } from "./dockerfile/words.ts";
import { download, isUrl, urlName } from "./download.ts";
import { type FileSource, layersSource, matchSource, parseRecords } from "./files.ts";
import { fetchCommit, type GitSource, keepRepository, parseGitSource } from "./git-source.ts";
import { lookupIn } from "./stage-state.ts";
import { absolutePath, digest, epochOf, layerStep, type StageResult, type StepWork, stepError } from "./step-work.ts";

type Copy = Extract<Instruction, CopyBody>;

interface Piece {
  readonly source: FileSource;
  readonly plan: CopyPlan;
  /** Files to unpack instead of copying them. */
  readonly archives: readonly Placement[];
}

export async function copyStep(instruction: Copy, work: StepWork): Promise<StageResult> {
  const { parts, before, expander } = work;
  const { options } = parts;
  await using stack = new AsyncDisposableStack();
  const destination = absolutePath(expander.word(instruction.destination), before.state.config.workingDir);
  const pieces = await findPieces(instruction, { ...work, destination }, stack);
  const owner =
    instruction.chown === undefined ? "0:0" : await ownerOf(expander.word(instruction.chown), work, instruction);
  const mode = instruction.chmod === undefined ? "" : checkedMode(expander.word(instruction.chmod), work);
  const contents = pieces.map(
    ({ plan, archives }) => `${contentKey(plan)} ${contentKey({ directories: [], placements: archives })}`,
  );
  const below = instruction.link ? "link" : before.key;
  const key = digest([below, instruction.kind, destination, owner, mode, ...contents, String(epochOf(options) ?? "")]);
  const createdBy = `${instruction.kind} ${instruction.text.slice(instruction.kind.length).trim()}`;
  return await layerStep(work, { key, createdBy }, async (draft) => {
    // With --link the files know nothing of what lies below them.
    const diffIds = instruction.link ? [] : before.diffIds;
    for (const piece of pieces) await placePiece(piece, { draft, diffIds, owner, mode, work });
    return undefined;
  });
}

async function findPieces(
  instruction: Copy,
  work: StepWork & { readonly destination: string },
  stack: AsyncDisposableStack,
): Promise<readonly Piece[]> {
  const { expander, destination, parts } = work;
  const sources = instruction.sources.map((text) => expander.word(text));
  const isAdd = instruction.kind === "ADD";
  const repositories = isAdd ? sources.filter((source) => parseGitSource(source) !== undefined) : [];
  const urls = isAdd ? sources.filter((source) => isUrl(source) && !repositories.includes(source)) : [];
  const paths = sources.filter((source) => !urls.includes(source) && !repositories.includes(source));
  const several = sources.length + instruction.heredocs.length > 1;
  if (instruction.checksum !== undefined && paths.length + instruction.heredocs.length > 0)
    throw expander.refusal("--checksum is for what is fetched: an URL or a git repository");
  const pieces: Piece[] = [];
  if (paths.length > 0) pieces.push(await findFiles(instruction, { ...work, paths, several }));
  if (instruction.heredocs.length > 0) {
    const files = instruction.heredocs.map(({ name, content, expands }) => ({
      name,
      bytes: Buffer.from(
        expands ? expandText(content, lookupIn(work.before.state), parts.dockerfile.escapeMark) : content,
      ),
    }));
    const source = await writtenSource(work, files, stack);
    pieces.push({
      source,
      plan: planCopy(await allOf(source), { destination, several }),
      archives: [],
    });
  }
  for (const url of urls) pieces.push(await findDownload(instruction, { ...work, url, several }, stack));
  for (const text of repositories) {
    const repository = parseGitSource(text);
    if (repository !== undefined) pieces.push(await findCommit(instruction, { ...work, repository }, stack));
  }
  return pieces;
}

async function findFiles(
  instruction: Copy,
  work: StepWork & { readonly destination: string; readonly paths: readonly string[]; readonly several: boolean },
): Promise<Piece> {
  const { parts, expander, stage, builder, step, destination, paths, several } = work;
  const from = instruction.from === undefined ? undefined : expander.word(instruction.from);
  const source =
    from === undefined ? parts.context : layersSource(parts.workshop, await builder.layersOf(from, stage, step));
  const excluded = ignoreOf(instruction.exclude.map((pattern) => expander.word(pattern)));
  const matches = [];
  for (const path of paths) {
    const found = await matchSource(source, path);
    // What a pattern names need not be there, as with BuildKit: "COPY package.json yarn.lock* ./".
    if (found.length === 0 && !isPattern(path)) {
      const where = from === undefined ? "the context (is it named in .dockerignore?)" : from;
      throw stepError(instruction, `${JSON.stringify(path)} is not found in ${where}`);
    }
    matches.push(
      ...found.map((records) => ({
        records: records.filter(({ path: each }) => !isExcluded(excluded, each, records[0]?.path ?? "")),
        keptFrom: instruction.parents ? pivotOf(path) : undefined,
      })),
    );
  }
  const plan = planCopy(matches, { destination, several: several || matches.length > 1 });
  const unpacks = instruction.kind === "ADD" && instruction.unpack !== false && from === undefined;
  const archives = unpacks
    ? await archivesIn(plan, { source, work, tops: new Set(matches.map(({ records }) => records[0])) })
    : [];
  return {
    source,
    plan: { ...plan, placements: plan.placements.filter((each) => !archives.includes(each)) },
    archives,
  };
}

// Patterns name paths as the source has them, or below what is copied.
function isExcluded(excluded: Ignore, path: string, top: string): boolean {
  return excluded.ignores(path) || excluded.ignores(path.slice(top.length).replace(/^\//, ""));
}

// Only files that a source names itself, as Docker has it.
async function archivesIn(
  plan: CopyPlan,
  from: { readonly source: FileSource; readonly work: StepWork; readonly tops: ReadonlySet<unknown> },
): Promise<readonly Placement[]> {
  const found: Placement[] = [];
  for (const placement of plan.placements) {
    if (placement.record.kind !== "file" || !from.tops.has(placement.record)) continue;
    if (await looksLikeArchive(from.work.parts.workshop, from.source.root, placement.from)) found.push(placement);
  }
  return found;
}

async function findDownload(
  instruction: Copy,
  work: StepWork & { readonly destination: string; readonly url: string; readonly several: boolean },
  stack: AsyncDisposableStack,
): Promise<Piece> {
  const { parts, destination, url, several, step } = work;
  const draft = await parts.workshop.begin();
  stack.defer(() => parts.workshop.discard(draft));
  const name = urlName(url);
  if (name === "" && (destination.endsWith("/") || several))
    throw stepError(instruction, `${url} has no file name: give the destination one`);
  const file = join(draft.upper, name === "" ? "download" : name);
  const checksum = instruction.checksum === undefined ? undefined : work.expander.word(instruction.checksum);
  await download(
    parts.workshop.http,
    { url, file, checksum, onProgress: (done, total) => step.progress(url, done, total) },
    parts.signal,
  ).catch((error: unknown) => {
    parts.signal.throwIfAborted();
    throw stepError(instruction, error instanceof Error ? error.message : String(error));
  });
  const source = draftSource(parts, draft);
  const plan = planCopy(await allOf(source), { destination, several });
  const archives = instruction.unpack === true ? plan.placements : [];
  return {
    source,
    plan: { ...plan, placements: plan.placements.filter((each) => !archives.includes(each)) },
    archives,
  };
}

async function findCommit(
  instruction: Copy,
  work: StepWork & { readonly destination: string; readonly repository: GitSource },
  stack: AsyncDisposableStack,
): Promise<Piece> {
  const { parts, destination, repository } = work;
  const { workshop, signal } = parts;
  const draft = await workshop.begin();
  stack.defer(() => workshop.discard(draft));
  const directory = join(draft.folder, ".git");
  const checksum = instruction.checksum === undefined ? undefined : work.expander.word(instruction.checksum);
  try {
    const { archive } = await fetchCommit(repository, { directory, checksum }, signal);
    const { tar, done } = archive();
    // Git's own words say why it gave no tar.
    await Promise.all([workshop.unpack(tar, `dir:${draft.upper}`, "", signal).catch(() => done), done]);
    // It comes to its place last: files of the repository must not become what git is told by.
    if (instruction.keepGitDir) {
      await keepRepository(directory, signal);
      await rename(directory, join(draft.upper, ".git"));
    }
  } catch (error) {
    signal.throwIfAborted();
    throw stepError(instruction, error instanceof Error ? error.message : String(error));
  }
  const source = draftSource(parts, draft);
  const excluded = ignoreOf(instruction.exclude.map((pattern) => work.expander.word(pattern)));
  const records = (await source.below("")).filter(({ path }) => !excluded.ignores(path));
  return { source, plan: planCopy([{ records }], { destination, several: false }), archives: [] };
}

async function placePiece(
  { source, plan, archives }: Piece,
  {
    draft,
    diffIds,
    owner,
    mode,
    work,
  }: {
    readonly draft: Draft;
    readonly diffIds: readonly string[];
    readonly owner: string;
    readonly mode: string;
    readonly work: StepWork;
  },
): Promise<void> {
  const { workshop, signal } = work.parts;
  const root = workshop.root(diffIds, draft);
  const made = [...plan.directories, ...archives.map(({ to, mayEnter }) => (mayEnter ? to : parentOf(to)))];
  const words = [
    ...[...new Set(made)].filter((path) => path !== "").flatMap((path) => ["make", "", path, owner, ""]),
    ...plan.placements.flatMap(({ from, to, mayEnter, record }) => [
      ...[mayEnter ? "enter" : "copy", from, to, owner],
      octalMode(mode, record),
    ]),
  ];
  if (words.length > 0) await workshop.run(["copy", source.root, root], words);
  for (const archive of archives) {
    await workshop.settle(draft);
    const target = archive.mayEnter ? archive.to : parentOf(archive.to);
    const { bytes, close } = await readFileOf(workshop, source.root, archive.from);
    try {
      await workshop.unpack(bytes, root, target, signal);
    } finally {
      await close();
    }
  }
  await workshop.settle(draft);
}

function parentOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf("/")));
}

async function writtenSource(
  { parts }: StepWork,
  files: readonly { readonly name: string; readonly bytes: Buffer }[],
  stack: AsyncDisposableStack,
): Promise<FileSource> {
  const draft = await parts.workshop.begin();
  stack.defer(() => parts.workshop.discard(draft));
  for (const { name, bytes } of files) {
    const path = join(draft.upper, name);
    await writeFile(path, bytes, { mode: 0o644 });
    await utimes(path, 0, 0);
  }
  return draftSource(parts, draft);
}

function draftSource({ workshop }: StepWork["parts"], draft: Draft): FileSource {
  const root = `dir:${draft.upper}`;
  return { root, below: async (path) => parseRecords(await workshop.run(["digest", root], [`${path}/`])) };
}

async function allOf(source: FileSource) {
  const all = await source.below("");
  return all.filter(({ path }) => path !== "").map((record) => ({ records: [record] }));
}

// "user", "user:group", numbers; names are looked up in the files of the stage.
async function ownerOf(text: string, { parts, before }: StepWork, instruction: Copy): Promise<string> {
  if (/^\d+(:\d+)?$/.test(text)) return text.includes(":") ? text : `${text}:${text}`;
  const [passwd, group] = await parts.workshop.readFiles(before.diffIds, ["/etc/passwd", "/etc/group"]);
  try {
    const { uid, gid } = resolveUser(text, { passwd: passwd?.toString() ?? "", group: group?.toString() ?? "" });
    return `${uid}:${gid}`;
  } catch (error) {
    throw stepError(instruction, `--chown: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function checkedMode(text: string, { expander }: StepWork): string {
  if (parseMode(text) === undefined)
    throw expander.refusal(`--chmod takes a mode such as 755 or u=rwX,go=rX, got ${JSON.stringify(text)}`);
  return text;
}

function octalMode(text: string, { mode, kind }: Placement["record"]): string {
  return parseMode(text)?.(mode & 0o7777, kind === "directory").toString(8) ?? "";
}
