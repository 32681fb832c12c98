// `docker run --rm` of a warm image as a user feels it: the docker command, the node's socket, a bridge network, the exit code.
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";
import { startDocker } from "../test/e2e/docker-engine.ts";
import { archiveOf } from "../test/e2e/probe-image.ts";
import { buildProgram } from "../test/linux/rig.ts";
import { gzipLayer, makeImage, makeTar } from "../test/registry.ts";
import { program } from "./container-place.ts";
import { findProgram } from "./peer.ts";
import { type Result, summarize } from "./result.ts";

const run = promisify(execFile);
const warmUps = 5;
const runs = 40;
const image = "bench-nothing";

/** Nothing where the docker command is not there. Needs root. */
export async function benchDocker(): Promise<readonly Result[]> {
  const docker = findProgram("docker");
  if (docker === undefined) {
    console.error("docker-run cannot be measured here: there is no docker command");
    return [];
  }
  await using engine = await startDocker([], await nothingArchive());
  // The command that starts fastest is measured, not what prepares its surroundings.
  const env = { ...process.env, DOCKER_HOST: `unix://${engine.socketPath}` };
  const times: number[] = [];
  for (let i = 0; i < warmUps + runs; i++) {
    const before = performance.now();
    await run(docker, ["run", "--rm", image], { env });
    if (i >= warmUps) times.push(performance.now() - before);
  }
  return [summarize("docker-run", "ms", times)];
}

async function nothingArchive(): Promise<Buffer> {
  const path = buildProgram("nothing", new URL(".", import.meta.url).pathname);
  const tar = await makeTar([{ name: program.slice(1), mode: 0o755, content: await readFile(path) }]);
  return archiveOf(makeImage([gzipLayer(tar)], { config: { Entrypoint: [program] } }), [
    `docker.io/library/${image}:latest`,
  ]);
}
