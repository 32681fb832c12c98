// Everything between a fresh clone and a running Naru: npm packages, Node 24, missing system packages, the C programs. Plain
// JavaScript, because the machine's own Node runs it before anything else is there.
import { spawn, spawnSync } from "node:child_process";
import { existsSync, statSync } from "node:fs";
import { arch, platform } from "node:process";

const root = new URL("..", import.meta.url).pathname;
const commands = {
  start: ["bin/naru", "up", "--nodes", "3", "--demo"],
  naru: ["bin/naru"],
  test: ["test/run.ts"],
  check: ["test/run.ts", "--check"],
  bench: ["bench/run.ts"],
  simulate: ["test/simulation/run.ts"],
  generate: ["setup/generate.ts"],
};
// Program to look for, Debian's package that has it, and what Naru needs it for.
const systemPrograms = [
  ["nft", "nftables", "service addresses and node networks"],
  ["musl-gcc", "musl-tools", "building the container launcher"],
  ["gcc", "gcc", "building the container launcher"],
  ["/usr/include/linux/seccomp.h", "linux-libc-dev", "building the container launcher"],
  ["/usr/include/zstd.h", "libzstd-dev", "unpacking images"],
  ["/usr/include/lzma.h", "liblzma-dev", "unpacking images"],
  ["/usr/include/bzlib.h", "libbz2-dev", "unpacking images"],
];
// Tests look at links with another program than the one that made them, and type what the guides say.
const testPrograms = [
  ["ip", "iproute2", "tests of node networks"],
  ["curl", "curl", "tests of what the guides say"],
  ["/usr/lib/python3.11/distutils/spawn.py", "python3-distutils", "tests of Docker's API with docker-compose"],
];
const builds = [
  "node-agent/launcher/build.sh",
  "node-agent/images/build.sh",
  "node-agent/docker/init/build.sh",
  "charts/hello/image/build.sh",
  "setup/strip.sh",
];

const compileCache = process.env.NODE_COMPILE_CACHE ?? `${root}.cache/compiled`;

const [name = "", ...rest] = process.argv.slice(2);
const command = commands[name];
if (command === undefined)
  fail(`unknown command ${JSON.stringify(name)}; there are: ${Object.keys(commands).join(", ")}`, 2);
if (platform !== "linux") fail(`Naru runs containers with Linux's own features; this is ${platform}`, 1);
installNpmPackages();
const node = `${root}node_modules/node-linux-${arch}/bin/node`;
if (!existsSync(node)) fail(`npm brought no Node 24 for linux-${arch}: see optionalDependencies in package.json`, 1);
installSystemPackages();
for (const build of builds) if (existsSync(root + build)) run("building", "sh", [build]);
launch();

function installNpmPackages() {
  const installed = `${root}node_modules/.package-lock.json`;
  const locked = `${root}package-lock.json`;
  if (existsSync(installed) && statSync(installed).mtimeMs >= statSync(locked).mtimeMs) return;
  console.error("naru: installing npm packages (Node 24 is one of them)");
  // Not `npm ci`: it refuses a lock file without entries for other platforms' optional packages, as some registries lack them.
  run("installing npm packages", "npm", ["install", "--no-save", "--no-audit", "--no-fund", "--loglevel=error"]);
}

function installSystemPackages() {
  const wanted = name === "test" ? [...systemPrograms, ...testPrograms] : systemPrograms;
  const missing = wanted.filter(([program]) => !isThere(program));
  if (missing.length === 0) return;
  for (const [program, packageName, why] of missing) {
    console.error(`naru: ${program.split("/").at(-1)} is missing (${why}); installing Debian's ${packageName}`);
  }
  const names = [...new Set(missing.map(([, packageName]) => packageName))];
  if (process.getuid() !== 0) fail(`run as root, or install these first: apt-get install ${names.join(" ")}`, 1);
  const apt = ["-q", "-y", "-o", "Dpkg::Use-Pty=0", "-o", "Acquire::Retries=3"];
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  run("updating package lists", "apt-get", [...apt, "update"], env);
  run("installing packages", "apt-get", [...apt, "install", "--no-install-recommends", ...names, "libc6-dev"], env);
}

function isThere(program) {
  if (program.startsWith("/")) return existsSync(program);
  const folders = `${process.env.PATH ?? ""}:/usr/sbin:/sbin`.split(":");
  return folders.some((folder) => existsSync(`${folder}/${program}`));
}

function run(what, program, args, env = process.env) {
  const { status, stdout, stderr, error } = spawnSync(program, args, { cwd: root, env, encoding: "utf8" });
  if (status !== 0)
    fail(`${what} failed: ${program} ${args.join(" ")}\n${error?.message ?? ""}${stdout ?? ""}${stderr ?? ""}`, 1);
}

// Signals go to the child, which ends by itself and tells how. npm passes them on to us since package.json's scripts exec: a shell in
// between would die of them and leave us unsignalled.
function launch() {
  const environment = {
    ...process.env,
    NODE_COMPILE_CACHE: compileCache,
  };
  const [program, ...args] = command;
  const start = program.endsWith(".ts") ? [node, "--disable-warning=ExperimentalWarning", program] : [root + program];
  const child = spawn(start[0], [...start.slice(1), ...args, ...rest], {
    cwd: name === "naru" ? process.cwd() : root,
    stdio: "inherit",
    env: environment,
  });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  child.on("exit", (code, signal) => process.exit(code ?? (signal === "SIGINT" ? 130 : 143)));
}

function fail(message, exitCode) {
  console.error(`naru: ${message}`);
  process.exit(exitCode);
}
