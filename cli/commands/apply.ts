// naru apply: server-side apply of every object, in the order given; waits for rollouts with --wait.
import { type Applied, applyManifest } from "../apply.ts";
import { type Command, connectionOptions, namespaceOptions, UsageError } from "../command.ts";
import { connect } from "../connection.ts";
import { readManifests, recursiveOption } from "../manifests.ts";
import { namespaceOf } from "../resources.ts";
import { hasRollout, waitForRollout } from "../rollout-wait.ts";
import { green, red } from "../terminal.ts";

export const apply: Command = {
  name: "apply",
  summary: "Make the cluster match YAML files",
  usage: "apply -f FILE|FOLDER|- [-f …] [--wait]",
  examples: ["naru apply -f web.yaml", "naru apply -f services/ --wait", "cat web.yaml | naru apply -f -"],
  options: {
    ...connectionOptions,
    ...namespaceOptions,
    filename: {
      type: "string",
      short: "f",
      multiple: true,
      value: "PATH",
      help: "file, folder, or - for standard input",
    },
    ...recursiveOption,
    wait: { type: "boolean", help: "wait until Deployments are rolled out" },
    "dry-run": { type: "boolean", help: "let the server check and answer, change nothing" },
    strict: { type: "boolean", help: "refuse unknown fields instead of warning of them" },
  },
  arguments: [{ type: "files" }],
  run: async (invocation) => {
    const paths = [...invocation.texts("filename"), ...invocation.positionals];
    if (paths.length === 0) throw new UsageError("name what to apply: -f FILE");
    const manifests = readManifests(paths, { recursive: invocation.flag("recursive") });
    const connection = await connect(invocation);
    const dryRun = invocation.flag("dry-run");
    const query = {
      fieldManager: "naru",
      force: "true",
      fieldValidation: invocation.flag("strict") ? "Strict" : "Warn",
      ...(dryRun ? { dryRun: "All" } : {}),
    };
    const namespace = namespaceOf(invocation, connection);
    const applied: Applied[] = [];
    for (const manifest of manifests) {
      try {
        const one = await applyManifest(connection, manifest, { namespace, query, signal: invocation.signal });
        console.log(
          `${one.title} ${one.verb === "unchanged" ? one.verb : green(one.verb)}${dryRun ? " (dry run)" : ""}`,
        );
        applied.push(one);
      } catch (error) {
        if (!(error instanceof Error) || invocation.signal.aborted) throw error;
        console.error(
          `${red("Error:")} ${error.message.startsWith(manifest.place) ? "" : `${manifest.place}: `}${error.message}`,
        );
      }
    }
    const complete = applied.length === manifests.length;
    if (invocation.flag("wait") && complete) {
      for (const one of applied)
        if (hasRollout(one.resource))
          await waitForRollout(connection, one, { signal: invocation.signal, timeoutMs: 600_000 });
    }
    connection.close();
    return complete ? 0 : 1;
  },
};
