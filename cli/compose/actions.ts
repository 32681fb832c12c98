// What `naru compose` can do: an entry an action.
import { stringify } from "yaml";
import { pods } from "../../api/kinds/generated/resources.ts";
import type { Pod } from "../../api/kinds/generated/types.ts";
import { objectName } from "../../compose/draft.ts";
import { realClock } from "../../lib/clock.ts";
import { realRandom } from "../../lib/random.ts";
import { type Invocation, numberOption, UsageError } from "../command.ts";
import { progressMode } from "../commands/build.ts";
import { copyFiles, parseSide, type Side } from "../commands/cp.ts";
import { runInPod } from "../commands/exec.ts";
import { printLogs, secondsOf } from "../commands/logs.ts";
import { connect } from "../connection.ts";
import { pushFromNode } from "../images/actions.ts";
import { commandLines, type ImageLine, nodesFor } from "../images/ask-node.ts";
import { loginsFor } from "../images/registry-logins.ts";
import { transfer } from "../images/transfer.ts";
import { buildServices, withBuilt } from "./build.ts";
import { killPod, removeEnded, restart, scaled, scaledOnes, start, stop } from "./lifecycle.ts";
import { configText, printEvents, printImages, printPort, printUsage } from "./look.ts";
import { imagesOf, objectsOf, type ProjectPlace, servicesNamed, servicesToStart, workloadsOf } from "./objects.ts";
import type { Project } from "./project.ts";
import { printProject } from "./ps.ts";
import { runOnce } from "./run.ts";
import { applyProject, removeProject, startedBy, waitForEnds, waitForProject } from "./up.ts";

export interface ComposeContext {
  readonly invocation: Invocation;
  readonly project: Project;
  /** Behind the action: services mostly. */
  readonly names: readonly string[];
}

export interface ComposeAction {
  readonly name: string;
  /** Where a user learns what of the file is left out or done otherwise. */
  readonly tellsNotices?: true;
  /** Resolves with the exit code. */
  readonly run: (context: ComposeContext) => Promise<number>;
}

type InCluster = ComposeContext & { readonly place: ProjectPlace };

export const actions: readonly ComposeAction[] = [
  { name: "up", tellsNotices: true, run: inCluster(up) },
  { name: "down", run: inCluster(({ place, invocation }) => removeProject(place, invocation.flag("volumes"))) },
  { name: "ps", run: inCluster(({ place, names }) => printProject(place, serviceOf(names))) },
  { name: "logs", run: inCluster(logs) },
  { name: "build", run: inCluster(build) },
  { name: "exec", run: inCluster(exec) },
  {
    name: "restart",
    run: inCluster((context) => restart(context.place, workloads(context), realClock.now())),
  },
  { name: "stop", run: inCluster((context) => stop(context.place, workloads(context))) },
  { name: "start", run: inCluster((context) => start(context.place, workloads(context))) },
  { name: "run", run: inCluster(run) },
  { name: "cp", run: inCluster(copy) },
  { name: "kill", run: inCluster(kill) },
  { name: "rm", run: inCluster(({ place, ...context }) => removeEnded(place, workloads(context))) },
  {
    name: "scale",
    run: inCluster(({ place, project, names }) => start(place, scaledOnes(project.objects, names))),
  },
  { name: "events", run: inCluster(({ place }) => printEvents(place)) },
  { name: "push", run: inCluster(push) },
  { name: "wait", run: inCluster(({ place, project, names }) => waitForEnds(place, project, names)) },
  { name: "pull", run: inCluster(pull) },
  { name: "images", run: inCluster(({ place }) => printImages(place)) },
  { name: "port", run: inCluster(port) },
  { name: "top", run: inCluster(({ place, names }) => printUsage(place, serviceOf(names))) },
  {
    name: "config",
    tellsNotices: true,
    run: async ({ project }) => {
      console.log(configText(project.file));
      return 0;
    },
  },
  {
    name: "convert",
    tellsNotices: true,
    run: async ({ project: { objects } }) => {
      for (const object of objects)
        console.log(`---\n${stringify(object, { aliasDuplicateObjects: false }).trimEnd()}`);
      return 0;
    },
  },
];

/** What docker compose has and this has not, with the way out. */
export const absentActions: Readonly<Record<string, string>> = {
  attach: "naru attach -n PROJECT deploy/SERVICE",
  create: "compose up",
  ls: "naru get namespaces -l app.kubernetes.io/managed-by=naru-compose",
  pause: "compose stop",
  stats: "compose top",
  unpause: "compose start",
  version: "naru --version",
  volumes: "naru get pvc -n PROJECT",
  watch: "compose up --build after a change",
};

function inCluster(work: (context: InCluster) => Promise<unknown>): ComposeAction["run"] {
  return async (context) => {
    const { invocation, project } = context;
    const connection = await connect(invocation);
    const namespace = invocation.text("namespace") ?? project.name;
    try {
      const place = { connection, project: project.name, namespace, signal: invocation.signal };
      const code = await work({ ...context, place });
      return typeof code === "number" ? code : 0;
    } finally {
      connection.close();
    }
  };
}

async function up({ invocation, project, place, names }: InCluster): Promise<void> {
  const timeoutMs = (numberOption(invocation, "timeout") ?? 600) * 1000;
  const objects = scaled(project.objects, invocation.texts("scale"));
  const services = servicesToStart(objects, names);
  const builds = project.builds.filter(({ service }) => services.has(objectName(service)));
  const built = invocation.flag("no-build")
    ? new Map<string, string>()
    : await buildServices(place, builds, choiceOf(invocation, invocation.flag("build")));
  const whole = withBuilt(objects, built);
  await applyProject(place, { objects: whole }, { services, removeOrphans: invocation.flag("remove-orphans") });
  if (!invocation.flag("no-wait") && !invocation.flag("detach"))
    await waitForProject(place, { objects: startedBy(whole, services) }, timeoutMs);
}

async function build({ invocation, project, place, names }: InCluster): Promise<void> {
  const wanted = servicesNamed(project.objects, names);
  const builds = project.builds.filter(({ service }) => wanted.has(objectName(service)));
  if (builds.length === 0) throw new UsageError("none of these services says how it is built (build:)");
  await buildServices(place, builds, choiceOf(invocation, true));
}

function choiceOf(invocation: Invocation, all: boolean) {
  return {
    ...{ all, mode: progressMode(invocation), node: invocation.text("node") },
    ...{ noCache: invocation.flag("no-cache"), pull: invocation.flag("pull") },
  };
}

async function logs({ invocation, place, names }: InCluster): Promise<void> {
  const query = new URLSearchParams();
  for (const name of ["follow", "timestamps"]) if (invocation.flag(name)) query.set(name, "true");
  const tail = numberOption(invocation, "tail");
  if (tail !== undefined) query.set("tailLines", String(tail));
  const since = invocation.text("since");
  if (since !== undefined) query.set("sinceSeconds", String(secondsOf(since)));
  const services = names.length === 0 ? [undefined] : names.map(objectName);
  const found = await Promise.all(services.map((service) => objectsOf<Pod>(place, pods, service)));
  const started = found.flat().filter(hasWritten);
  await printLogs(
    place.connection,
    started.map((pod) => ({ pod })),
    { query },
    place.signal,
  );
}

// What waits to start, or was turned away by its node, has no logs.
function hasWritten({ status }: Pod): boolean {
  return (status?.containerStatuses ?? []).some(({ containerID = "" }) => containerID !== "");
}

async function exec({ invocation, place, names: [service = "", ...words] }: InCluster): Promise<number> {
  const command = [...words, ...invocation.rest];
  if (service === "" || command.length === 0) throw new UsageError("exec takes a service and, behind --, a command");
  const pod = await runningPod(place, service);
  const isTerminal = process.stdin.isTTY && process.stdout.isTTY && !invocation.flag("no-tty");
  return await runInPod(place.connection, {
    ...{ namespace: place.namespace, pod, command },
    ...{ stdin: true, tty: isTerminal, signal: place.signal },
  });
}

async function runningPod(place: ProjectPlace, service: string): Promise<string> {
  const found = await objectsOf<Pod>(place, pods, objectName(service));
  const pod = found.find(
    ({ status, metadata }) => status?.phase === "Running" && metadata?.deletionTimestamp === undefined,
  );
  if (pod === undefined) throw new Error(`service ${service} has no pod that runs`);
  return pod.metadata?.name ?? "";
}

async function run({ invocation, project, place, names: [service = "", ...words] }: InCluster): Promise<number> {
  if (service === "") throw new UsageError("run takes a service and, behind --, a command");
  const [name = ""] = servicesNamed(project.objects, [service]);
  const built = await buildServices(place, project.builds, choiceOf(invocation, false));
  const wanted = {
    service: name,
    command: [...words, ...invocation.rest],
    entrypoint: invocation.text("entrypoint"),
    env: invocation.texts("env"),
    terminal: process.stdin.isTTY && process.stdout.isTTY && !invocation.flag("no-tty"),
    noDependencies: invocation.flag("no-deps"),
    detach: invocation.flag("detach"),
  };
  return await runOnce(place, withBuilt(project.objects, built), wanted, realRandom());
}

async function copy({ place, names: [from, to] }: InCluster): Promise<void> {
  if (from === undefined || to === undefined)
    throw new UsageError("cp takes a source and a target: SERVICE:PATH, or a path here");
  const [source, target] = [await sideOf(place, from), await sideOf(place, to)];
  await copyFiles(place.connection, { from, to, source, target, container: undefined }, place.signal);
}

async function sideOf(place: ProjectPlace, word: string): Promise<Side | undefined> {
  const side = parseSide(word, place.namespace);
  return side && { ...side, pod: await runningPod(place, side.pod) };
}

async function kill(context: InCluster): Promise<void> {
  const { place } = context;
  const found = workloads(context);
  await stop(place, found);
  for (const { metadata } of found) {
    for (const pod of await objectsOf<Pod>(place, pods, metadata?.name ?? ""))
      await killPod(place, pod.metadata?.name ?? "");
  }
}

/** Images of registries, to every node. */
async function pull({ invocation, project, place, names }: InCluster): Promise<void> {
  const built = new Set(project.builds.map(({ image }) => image));
  const wanted = servicesNamed(project.objects, names);
  const images = workloadsOf(project.objects, wanted)
    .flatMap((object) => imagesOf(object))
    .filter((image) => !built.has(image));
  const nodes = await nodesFor(place.connection, invocation);
  for (const reference of new Set(images)) {
    const logins = await loginsFor([reference]);
    await Promise.all(
      nodes.map((node) => {
        const lines = commandLines<ImageLine>(place.connection, node, { command: "pull", reference, logins });
        return transfer(node, lines, { done: () => `pulled ${reference}` });
      }),
    );
  }
}

/** What was built, to the registries that the file names; the cluster's own has it already. */
async function push({ invocation, project, place, names }: InCluster): Promise<void> {
  const wanted = servicesNamed(project.objects, names);
  const builds = project.builds.filter(({ service }) => wanted.has(objectName(service)));
  if (builds.length === 0) throw new UsageError("none of these services says how it is built (build:)");
  for (const { service, image } of builds) {
    if (image.startsWith("naru.local/")) console.log(`${service}: ${image} is in the cluster's own registry`);
    else {
      const nodes = await nodesFor(place.connection, invocation);
      await pushFromNode({ connection: place.connection, nodes, invocation, args: [image] });
    }
  }
}

async function port({ place, names: [service, port] }: InCluster): Promise<void> {
  if (service === undefined || !/^\d{1,5}$/.test(port ?? "")) throw new UsageError("port takes a service and its port");
  await printPort(place, service, Number(port));
}

function workloads({ project, names }: ComposeContext) {
  return workloadsOf(project.objects, servicesNamed(project.objects, names));
}

function serviceOf([service]: readonly string[]): string | undefined {
  return service === undefined ? undefined : objectName(service);
}
