// naru compose: the services of a Compose file as the cluster's objects, spread over its nodes.

import { type Command, connectionOptions, namespaceOptions, UsageError } from "../command.ts";
import { absentActions, actions, type ComposeAction } from "../compose/actions.ts";
import { readProject } from "../compose/project.ts";

export const compose: Command = {
  name: "compose",
  summary: "Run a Compose file's services in the cluster",
  usage: `compose ${actions.map(({ name }) => name).join("|")} [SERVICE…] [-f FILE]`,
  examples: [
    "naru compose up",
    "naru compose up --build --scale web=3",
    "naru compose -f compose.yaml -f compose.prod.yaml up --profile metrics",
    "naru compose logs -F --since 5m web",
    "naru compose exec web sh",
    "naru compose run --no-deps web npm test",
    "naru compose cp web:/var/log/app.log .",
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
    build: { type: "boolean", help: "up: build images anew, those that are there too" },
    "no-build": { type: "boolean", help: "up: build nothing" },
    "no-cache": { type: "boolean", help: "build: do every step again" },
    pull: { type: "boolean", help: "build: ask registries for newer images" },
    progress: {
      type: "string",
      value: "HOW",
      help: "build: auto, plain, tty or quiet",
      complete: { type: "words", words: ["auto", "plain", "tty", "quiet"] },
    },
    node: {
      type: "string",
      value: "NAME",
      help: "build on this node (default: the first that is ready)",
      complete: { type: "objects", kind: "nodes" },
    },
    scale: { type: "string", multiple: true, value: "SERVICE=N", help: "up: so many of a service" },
    "no-wait": { type: "boolean", help: "up: come back before the services run" },
    timeout: { type: "string", value: "SECONDS", default: "600", help: "up: give up waiting after that long" },
    "remove-orphans": { type: "boolean", help: "up: delete what is of the project but not in its file" },
    volumes: { type: "boolean", short: "v", help: "down: delete the volumes and what is in them too" },
    follow: { type: "boolean", short: "F", help: "logs: go on printing as it is written" },
    tail: { type: "string", value: "LINES", help: "logs: only the last lines" },
    since: { type: "string", value: "TIME", help: "logs: only what is younger: 90s, 5m, 2h" },
    timestamps: { type: "boolean", short: "t", help: "logs: with the time of each line" },
    "no-tty": { type: "boolean", short: "T", help: "exec, run: no terminal" },
    env: { type: "string", short: "e", multiple: true, value: "NAME=VALUE", help: "run: a further variable" },
    entrypoint: { type: "string", value: "COMMAND", help: "run: instead of the service's" },
    "no-deps": { type: "boolean", help: "run: do not start what the service needs" },
    detach: { type: "boolean", short: "d", help: "up: as --no-wait; run: come back at once, and leave the pod" },
    rm: { type: "boolean", help: "run: remove the pod when it has ended, as always" },
  },
  // "compose exec SERVICE COMMAND…", as with docker compose.
  commandBehind: ([action]) => (action === "exec" || action === "run" ? 2 : undefined),
  arguments: [{ type: "words", words: actions.map(({ name }) => name) }],
  run: async (invocation) => {
    const [word] = invocation.positionals;
    const action: ComposeAction | undefined = actions.find(({ name }) => name === word);
    const instead = absentActions[word ?? ""];
    if (action === undefined && instead !== undefined) throw new UsageError(`compose has no ${word}: use ${instead}`);
    if (action === undefined)
      throw new UsageError(
        `compose takes ${actions.map(({ name }) => name).join(", ")}, got ${JSON.stringify(word ?? "")}`,
      );
    const [projectName, namespace] = [invocation.text("project-name"), invocation.text("namespace")];
    const project = readProject({
      files: invocation.texts("file"),
      profiles: invocation.texts("profile"),
      envFiles: invocation.texts("env-file"),
      quiet: action.tellsNotices !== true,
      ...(projectName === undefined ? {} : { projectName }),
      ...(namespace === undefined ? {} : { namespace }),
    });
    return await action.run({ invocation, project, names: invocation.positionals.slice(1) });
  },
};
