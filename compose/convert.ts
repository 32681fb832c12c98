// A Compose project as the cluster's objects. Pure but for the reading of files that it is handed.
import type { KubeObject } from "../api/kinds/resource.ts";
import { readAliases } from "./aliases.ts";
import { type BuildPlan, newDraft, objectName, type ProjectParts, type ServiceDraft } from "./draft.ts";
import { serviceFields } from "./fields/all.ts";
import { projectLabels, serviceLabel, serviceLabels } from "./labels.ts";
import type { Loaded } from "./load.ts";
import { type Node, textOf } from "./nodes.ts";
import { fileObjects, readFiles, volumeNames, volumeObjects } from "./project-parts.ts";
import { type Field, type Fields, type Finding, Reader, without } from "./read.ts";
import { namedService, serviceObjects } from "./service-objects.ts";
import { workloadKindOf } from "./workload.ts";

export interface Conversion {
  /** Of the project; also the name of its namespace. */
  readonly name: string;
  readonly objects: readonly KubeObject[];
  /** Images to build first. */
  readonly builds: readonly Build[];
  readonly findings: readonly Finding[];
}

export interface Build {
  readonly service: string;
  /** What the objects call it. */
  readonly image: string;
  /** What the cluster calls it: every node finds it below this name, and nobody asks a registry outside for it. */
  readonly repository: string;
  readonly plan: BuildPlan;
  /** Also when there is an image of an earlier build. */
  readonly always: boolean;
}

export interface ConvertOptions {
  /** Instead of the name in the file, or its folder's. */
  readonly projectName?: string;
  /** Where the objects go, instead of a namespace of the project's own. */
  readonly namespace?: string;
  readonly readText: (path: string) => string | undefined;
}

/** The objects, in the order to apply them; with an error among the findings they are not to be used. */
export function convertCompose(loaded: Loaded, options: ConvertOptions): Conversion {
  const reader = new Reader();
  const { root, directory } = loaded;
  const given = options.projectName ?? textOf(root.entries.get("name")) ?? directory.split("/").at(-1) ?? "";
  const name = objectName(given);
  if (name === "")
    reader.fail(root.place, `${JSON.stringify(given)} makes no project name: say name: at the top, or --project-name`);
  const sources = { directory, variables: loaded.variables, readText: options.readText };
  const services = root.entries.get("services");
  const project: ProjectParts = {
    ...sources,
    name,
    services: new Set(services?.type === "map" ? services.entries.keys() : []),
    volumes: volumeNames(root.entries.get("volumes"), reader),
    configs: readFiles(root.entries.get("configs"), "configs", sources, reader),
    secrets: readFiles(root.entries.get("secrets"), "secrets", sources, reader),
  };
  reader.fields(root, "a Compose file", topFields, project);
  const drafts = services === undefined ? [] : draftServices(services, project, reader);
  if (drafts.length === 0 && !reader.findings.some(({ severity }) => severity === "error"))
    reader.fail(root.place, "there is no service in it, or none whose profile is on");
  const aliases = readAliases(drafts, reader);
  const namespace = options.namespace ?? name;
  const objects = [
    ...(options.namespace === undefined ? [{ apiVersion: "v1", kind: "Namespace", metadata: { name } }] : []),
    ...volumeObjects(root.entries.get("volumes"), project, reader),
    ...fileObjects(project),
    ...drafts.flatMap((draft) => serviceObjects(draft, project)),
    ...[...aliases].map(([alias, service]) => namedService(alias, serviceLabels(name, service))),
  ].map((object) => placed(object, namespace, project.name));
  const builds = drafts.flatMap(({ name: service, build: { plan, always = false }, container }) => {
    const repository = builtName(name, service);
    return plan === undefined ? [] : [{ service, image: container.image ?? repository, repository, plan, always }];
  });
  return { name, objects, builds, findings: [...loaded.notices, ...reader.findings] };
}

const nothing: Field<ProjectParts> = () => {};
export const topFields: Fields<ProjectParts> = {
  version: nothing,
  name: nothing,
  services: nothing,
  volumes: nothing,
  configs: nothing,
  secrets: nothing,
  include: nothing,
  networks: (_, node, reader) => {
    for (const [name, network] of node.type === "map" ? node.entries : []) {
      const internal = network.type === "map" && network.entries.get("internal");
      if (name !== "default" || internal)
        reader.note(
          network.place,
          `networks.${name}: all services of a project are on one network, which reaches outside`,
        );
    }
  },
  models: without("models are of the machine that runs Compose"),
};

function draftServices(services: Node, project: ProjectParts, reader: Reader): readonly ServiceDraft[] {
  const map = reader.map(services, "services");
  return [...(map?.entries ?? [])].map(([name, node]) => {
    const draft = newDraft(name, map?.keys.get(name) ?? node.place, project);
    if (objectName(name) !== name)
      reader.note(
        draft.place,
        `service ${name} is reachable as ${objectName(name)}: names have small letters, digits and "-"`,
      );
    reader.fields(node, `services.${name}`, serviceFields, draft);
    if (draft.build.plan !== undefined) draft.container.image ??= builtName(project.name, name);
    if (draft.container.image === undefined) reader.fail(draft.place, `service ${name} has neither image nor build`);
    checkMode(draft, reader);
    return draft;
  });
}

function checkMode(draft: ServiceDraft, reader: Reader): void {
  const { mode, restart, retries, place, name } = draft;
  if (mode === "global") {
    if (restart !== "always")
      reader.fail(
        place,
        `service ${name}: what deploy.mode global runs on each node goes on for ever: leave restart out`,
      );
    // One on each node is what it is.
    delete draft.pod.topologySpreadConstraints;
  }
  if (retries !== undefined && workloadKindOf(draft) !== "Job")
    reader.note(
      retries.place,
      "how often it is restarted is left out: waits between starts grow by themselves, from 10 s to 5 minutes",
    );
}

// As Compose names what it builds, in the cluster's own registry.
function builtName(project: string, service: string): string {
  return `naru.local/${project}-${objectName(service)}`;
}

function placed(object: KubeObject, namespace: string, project: string): KubeObject {
  const { metadata } = object;
  const labels = { ...projectLabels(project), ...metadata?.labels };
  const place = object.kind === "Namespace" ? {} : { namespace };
  const service = ["Deployment", "DaemonSet", "Job"].includes(object.kind ?? "")
    ? { [serviceLabel]: metadata?.name ?? "" }
    : {};
  return { ...object, metadata: { ...metadata, ...place, labels: { ...labels, ...service } } };
}
