// naru apply: server-side apply of every object, in the order given; waits for Deployments with --wait.
import type { KubeObject } from "../../api/kinds/resource.ts";
import { ApiError } from "../../api/kinds/status.ts";
import { type Command, connectionOptions, namespaceOptions, UsageError } from "../command.ts";
import { connect } from "../connection.ts";
import { type Manifest, readManifests } from "../manifests.ts";
import { namespaceOf, pathOf, resourceOfKind, titleOf } from "../resources.ts";
import { waitForRollout } from "../rollout-wait.ts";
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
    wait: { type: "boolean", help: "wait until Deployments are rolled out" },
    "dry-run": { type: "boolean", help: "let the server check and answer, change nothing" },
    strict: { type: "boolean", help: "refuse unknown fields instead of warning of them" },
  },
  run: async (invocation) => {
    const paths = [...invocation.texts("filename"), ...invocation.positionals];
    if (paths.length === 0) throw new UsageError("name what to apply: -f FILE");
    const manifests = readManifests(paths);
    const connection = await connect(invocation);
    const query = new URLSearchParams({
      fieldManager: "naru",
      force: "true",
      fieldValidation: invocation.flag("strict") ? "Strict" : "Warn",
    });
    if (invocation.flag("dry-run")) query.set("dryRun", "All");
    let failed = 0;
    const applied: { readonly name: string; readonly namespace: string }[] = [];

    const applyOne = async ({ object, place }: Manifest): Promise<void> => {
      const resource = resourceOfKind(object.apiVersion ?? "", object.kind ?? "");
      if (resource === undefined)
        throw new Error(`${place}: this cluster has no kind ${object.kind} in ${object.apiVersion}`);
      const name = object.metadata?.name;
      if (name === undefined) throw new Error(`${place}: metadata.name is missing`);
      const namespace = object.metadata?.namespace ?? namespaceOf(invocation, connection);
      const path = pathOf(resource, resource.namespaced ? namespace : undefined, name);
      const before = await versionOf(path);
      const after = await connection.send<KubeObject>("PATCH", `${path}?${query}`, {
        body: { ...object, metadata: { ...object.metadata, ...(resource.namespaced ? { namespace } : {}) } },
        type: "application/apply-patch+yaml",
        signal: invocation.signal,
      });
      const verb =
        before === undefined ? "created" : before === after.metadata?.resourceVersion ? "unchanged" : "configured";
      console.log(
        `${titleOf(resource, name)} ${verb === "unchanged" ? verb : green(verb)}${invocation.flag("dry-run") ? " (dry run)" : ""}`,
      );
      if (resource.kind === "Deployment") applied.push({ name, namespace });
    };
    const versionOf = async (path: string): Promise<string | undefined> => {
      try {
        return (await connection.send<KubeObject>("GET", path, { signal: invocation.signal })).metadata
          ?.resourceVersion;
      } catch (error) {
        if (error instanceof ApiError && error.reason === "NotFound") return undefined;
        throw error;
      }
    };

    for (const manifest of manifests) {
      try {
        await applyOne(manifest);
      } catch (error) {
        if (!(error instanceof Error) || invocation.signal.aborted) throw error;
        failed++;
        console.error(`${red("Error:")} ${manifest.place}: ${error.message}`);
      }
    }
    if (invocation.flag("wait") && failed === 0)
      for (const one of applied)
        await waitForRollout(connection, one, { signal: invocation.signal, timeoutMs: 600_000 });
    connection.close();
    return failed === 0 ? 0 : 1;
  },
};
