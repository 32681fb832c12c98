// naru compose: the services of a Compose file as the cluster's objects, spread over its nodes.
import { stringify } from "yaml";
import { pods } from "../../api/kinds/generated/resources.ts";
import type { Pod } from "../../api/kinds/generated/types.ts";
import type { Conversion } from "../../compose/convert.ts";
import { objectName } from "../../compose/draft.ts";
import {
  type Command,
  connectionOptions,
  type Invocation,
  namespaceOptions,
  numberOption,
  UsageError,
} from "../command.ts";
import { objectsOf, type ProjectPlace } from "../compose/objects.ts";
import { readProject } from "../compose/project.ts";
import { printProject } from "../compose/ps.ts";
import { applyProject, removeProject, waitForProject } from "../compose/up.ts";
import { connect } from "../connection.ts";
import { printLogs } from "./logs.ts";

const actions: Readonly<Record<string, (invocation: Invocation, project: Conversion) => Promise<void>>> = {
  up,
  down: (invocation, project) =>
    inCluster(invocation, project, (place) => removeProject(place, invocation.flag("volumes"))),
  ps: (invocation, project) => inCluster(invocation, project, (place) => printProject(place, serviceOf(invocation))),
  logs,
  convert: async (_, { objects }) => {
    for (const object of objects) console.log(`---\n${stringify(object, { aliasDuplicateObjects: false }).trimEnd()}`);
  },
};

export const compose: Command = {
  name: "compose",
  summary: "Run a Compose file's services in the cluster",
  usage: "compose up|down|ps|logs|convert [SERVICE] [-f FILE]",
  examples: [
    "naru compose up",
    "naru compose -f compose.yaml -f compose.prod.yaml up --profile metrics",
    "naru compose logs -F web",
    "naru compose convert > objects.yaml",
    "naru compose down --volumes",
  ],
  options: {
    ...connectionOptions,
    ...namespaceOptions,
    file: {
      type: "string",
      short: "f",
      multiple: true,
      value: "FILE",
      help: "later ones are laid over earlier ones (default: compose.yaml and its .override.yaml)",
    },
    "project-name": { type: "string", short: "p", value: "NAME", help: "instead of the file's name: or its folder's" },
    profile: { type: "string", multiple: true, value: "NAME", help: 'services of this profile too; "*" is all' },
    "env-file": {
      type: "string",
      multiple: true,
      value: "FILE",
      help: "variables, instead of the .env beside the file",
    },
    "no-wait": { type: "boolean", help: "up: come back before the services run" },
    timeout: { type: "string", value: "SECONDS", default: "600", help: "up: give up waiting after that long" },
    "remove-orphans": { type: "boolean", help: "up: delete what is of the project but not in its file" },
    volumes: { type: "boolean", short: "v", help: "down: delete the volumes and what is in them too" },
    follow: { type: "boolean", short: "F", help: "logs: go on printing as it is written" },
    tail: { type: "string", value: "LINES", help: "logs: only the last lines" },
  },
  arguments: [{ type: "words", words: Object.keys(actions) }],
  run: async (invocation) => {
    const [word] = invocation.positionals;
    const action = word === undefined || !Object.hasOwn(actions, word) ? undefined : actions[word];
    if (action === undefined)
      throw new UsageError(`compose takes ${Object.keys(actions).join(", ")}, got ${JSON.stringify(word ?? "")}`);
    const [projectName, namespace] = [invocation.text("project-name"), invocation.text("namespace")];
    const project = readProject({
      files: invocation.texts("file"),
      profiles: invocation.texts("profile"),
      envFiles: invocation.texts("env-file"),
      ...(projectName === undefined ? {} : { projectName }),
      ...(namespace === undefined ? {} : { namespace }),
    });
    await action(invocation, project);
    return 0;
  },
};

async function up(invocation: Invocation, project: Conversion): Promise<void> {
  const timeoutMs = (numberOption(invocation, "timeout") ?? 600) * 1000;
  await inCluster(invocation, project, async (place) => {
    await applyProject(place, project, invocation.flag("remove-orphans"));
    if (!invocation.flag("no-wait")) await waitForProject(place, project, timeoutMs);
  });
}

async function logs(invocation: Invocation, project: Conversion): Promise<void> {
  const query = new URLSearchParams();
  if (invocation.flag("follow")) query.set("follow", "true");
  const tail = numberOption(invocation, "tail");
  if (tail !== undefined) query.set("tailLines", String(tail));
  await inCluster(invocation, project, async (place) => {
    const found = await objectsOf<Pod>(place, pods, serviceOf(invocation));
    const started = found.filter(({ status }) => status?.phase !== undefined && status.phase !== "Pending");
    const sources = started.map((pod) => ({ pod }));
    await printLogs(place.connection, sources, { query }, place.signal);
  });
}

async function inCluster(
  invocation: Invocation,
  { name }: Conversion,
  work: (place: ProjectPlace) => Promise<void>,
): Promise<void> {
  const connection = await connect(invocation);
  try {
    await work({
      connection,
      project: name,
      namespace: invocation.text("namespace") ?? name,
      signal: invocation.signal,
    });
  } finally {
    connection.close();
  }
}

function serviceOf(invocation: Invocation): string | undefined {
  const service = invocation.positionals[1];
  return service === undefined ? undefined : objectName(service);
}
