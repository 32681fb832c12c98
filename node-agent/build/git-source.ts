// ADD of a git repository: one commit of it, fetched by the node's git program without any settings of its own, and handed on as a tar.
// Nothing is checked out and no hook runs; the tar is unpacked by the confined program like a stranger's.
import { execFile, spawn } from "node:child_process";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { cleanPath } from "./dockerfile/patterns.ts";

export interface GitSource {
  readonly url: string;
  /** Branch, tag or commit; undefined: what the repository calls its head. */
  readonly ref: string | undefined;
  /** Within the repository; "" is all of it. */
  readonly folder: string;
}

const slowestBytesPerSecond = 1_000;
const slowSecondsMax = 60;
const outputBytesMax = 1024 * 1024;

/** "https://HOST/PATH.git#REF:FOLDER", "git://…", "ssh://…", "git@HOST:PATH"; undefined when it names no repository. */
export function parseGitSource(text: string): GitSource | undefined {
  const hash = text.indexOf("#");
  const url = hash < 0 ? text : text.slice(0, hash);
  const isOne = /^(git|ssh):\/\//i.test(url) || /^git@[^/:]+:/.test(url) || /^https?:\/\/[^?]+\.git$/i.test(url);
  if (!isOne) return undefined;
  const [ref = "", ...folder] = (hash < 0 ? "" : text.slice(hash + 1)).split(":");
  return { url, ref: ref === "" ? undefined : ref, folder: cleanPath(folder.join(":")) };
}

export interface FetchedCommit {
  readonly commit: string;
  /** All files of the folder as a tar. Rejects, as `done`, with git's words. */
  archive(): { readonly tar: Readable; readonly done: Promise<void> };
}

/** `directory` is empty and becomes the repository, as a ".git" is one. Rejects with what went wrong in words. */
export async function fetchCommit(
  { url, ref, folder }: GitSource,
  { directory, checksum }: { readonly directory: string; readonly checksum: string | undefined },
  signal: AbortSignal,
): Promise<FetchedCommit> {
  if (!/^(https?|git):\/\//i.test(url))
    throw new Error(`${url} is reached by ssh, for which a build has no key: name it by https`);
  if (ref?.startsWith("-") === true) throw new Error(`${JSON.stringify(ref)} names no branch, tag or commit`);
  const git = (...args: readonly string[]) => runGit(directory, args, signal);
  await mkdir(directory);
  await git("init", "--quiet", "--bare", "--template=", directory);
  const slow = [`http.lowSpeedLimit=${slowestBytesPerSecond}`, `http.lowSpeedTime=${slowSecondsMax}`];
  const settings = slow.flatMap((setting) => ["-c", setting]);
  await git(
    ...settings,
    "fetch",
    "--quiet",
    "--no-tags",
    "--depth=1",
    "--no-recurse-submodules",
    "--",
    url,
    ref ?? "HEAD",
  ).catch((cause: Error) => {
    throw new Error(`${url} cannot be fetched: ${cause.message}`, { cause });
  });
  const commit = (await git("rev-parse", "--verify", "FETCH_HEAD^{commit}")).trim();
  if (checksum !== undefined && commit !== checksum) throw new Error(`${url} has commit ${commit}, not ${checksum}`);
  await git("update-ref", "--no-deref", "HEAD", commit);
  // An archive is of all files as they are, whatever the repository says of archives.
  await mkdir(join(directory, "info"), { recursive: true });
  await writeFile(join(directory, "info", "attributes"), "* -export-ignore -export-subst\n");
  return {
    commit,
    archive: () => startArchive(directory, folder === "" ? commit : `${commit}:${folder}`, signal),
  };
}

/** Makes the repository one of files around it, that are its head's; no archive is made of it afterwards. */
export async function keepRepository(directory: string, signal: AbortSignal): Promise<void> {
  await runGit(directory, ["config", "core.bare", "false"], signal);
  await runGit(directory, ["read-tree", "HEAD"], signal);
  await rm(join(directory, "info"), { recursive: true });
}

// None of the machine's or a user's settings, no questions, no helpers, and only the network's own protocols.
function environment(directory: string): NodeJS.ProcessEnv {
  const { PATH, https_proxy, http_proxy, no_proxy } = process.env;
  return {
    ...{ PATH, https_proxy, http_proxy, no_proxy },
    ...{ GIT_DIR: directory, HOME: directory, LC_ALL: "C" },
    ...{ GIT_CONFIG_NOSYSTEM: "1", GIT_CONFIG_GLOBAL: "/dev/null", GIT_ATTR_NOSYSTEM: "1" },
    ...{ GIT_TERMINAL_PROMPT: "0", GIT_ASKPASS: "/bin/false", GIT_ALLOW_PROTOCOL: "http:https:git" },
  };
}

function runGit(directory: string, args: readonly string[], signal: AbortSignal): Promise<string> {
  const options = { env: environment(directory), cwd: "/", signal, maxBuffer: outputBytesMax };
  return new Promise((resolve, reject) => {
    execFile("git", args, options, (cause, stdout, stderr) => {
      if (cause === null) resolve(stdout);
      else reject(explain(cause, stderr));
    });
  });
}

function startArchive(directory: string, tree: string, signal: AbortSignal): ReturnType<FetchedCommit["archive"]> {
  const child = spawn("git", ["-c", "tar.umask=0022", "archive", "--format=tar", tree], {
    env: environment(directory),
    cwd: "/",
    signal,
  });
  let said = "";
  child.stderr.on("data", (part: Buffer) => {
    if (said.length < outputBytesMax) said += part.toString();
  });
  const done = new Promise<void>((resolve, reject) => {
    child.on("error", (cause) => reject(explain(cause, said)));
    child.on("close", (code) => {
      if (code === 0) resolve();
      else reject(explain(new Error(`git ended with ${code}`), said));
    });
  });
  done.catch(() => {});
  return { tar: child.stdout, done };
}

function explain(cause: Error, said: string): Error {
  if ((cause as NodeJS.ErrnoException).code === "ENOENT")
    return new Error("this node has no git program: install git, or add an archive of the repository", { cause });
  const words =
    said
      .trim()
      .split("\n")
      .findLast((line) => /^(fatal|error):/.test(line)) ?? cause.message;
  // They come from a server, and end up on terminals.
  return new Error(
    words
      .replace(/^(fatal|error): /, "")
      .replace(/[^ -~]/g, "?")
      .slice(0, 500),
    { cause },
  );
}
