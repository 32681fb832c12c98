// Generates TypeScript types, schemas and resource handles of the served kinds from bare facts of the Kubernetes API.
// Run by `npm run generate`; the output is committed so that a checkout works without this step.
import { readFileSync, writeFileSync } from "node:fs";

interface Fact {
  readonly type?: string;
  readonly format?: string;
  readonly ref?: string;
  readonly items?: Fact;
  readonly values?: Fact;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, Fact>>;
}
interface ResourceFact {
  readonly group?: string;
  readonly version: string;
  readonly resource: string;
  readonly singular: string;
  readonly kind: string;
  readonly scope: string;
  readonly verbs: readonly string[];
  readonly shortNames?: readonly string[];
  readonly categories?: readonly string[];
  readonly subresources?: readonly {
    readonly name: string;
    readonly kind: string;
    readonly verbs: readonly string[];
  }[];
}

// A kind is served by adding its line here, running `npm run generate`, and adding its file to api/kinds/.
const served = [
  "v1/namespaces",
  "v1/nodes",
  "v1/pods",
  "v1/services",
  "v1/configmaps",
  "v1/secrets",
  "v1/events",
  "v1/serviceaccounts",
  "v1/persistentvolumes",
  "v1/persistentvolumeclaims",
  "apps/v1/deployments",
  "apps/v1/replicasets",
  "apps/v1/daemonsets",
  "apps/v1/controllerrevisions",
  "batch/v1/jobs",
  "batch/v1/cronjobs",
  "discovery.k8s.io/v1/endpointslices",
  "coordination.k8s.io/v1/leases",
  "storage.k8s.io/v1/storageclasses",
  "node.k8s.io/v1/runtimeclasses",
  "scheduling.k8s.io/v1/priorityclasses",
  "authorization.k8s.io/v1/selfsubjectaccessreviews",
  "authorization.k8s.io/v1/selfsubjectrulesreviews",
  "authentication.k8s.io/v1/selfsubjectreviews",
];
// Types that no served kind names but that requests and answers carry.
const carried = [
  "io.k8s.apimachinery.pkg.apis.meta.v1.Status",
  "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions",
  "io.k8s.apimachinery.pkg.apis.meta.v1.WatchEvent",
  "io.k8s.apimachinery.pkg.apis.meta.v1.APIResourceList",
  "io.k8s.apimachinery.pkg.apis.meta.v1.APIGroupList",
  "io.k8s.api.core.v1.Binding",
  "io.k8s.api.autoscaling.v1.Scale",
  "io.k8s.api.policy.v1.Eviction",
  "io.k8s.api.authentication.v1.TokenRequest",
];

const root = new URL("../api/kinds/", import.meta.url);
const types = JSON.parse(readFileSync(new URL("facts/types.json", root), "utf8")) as Readonly<
  Record<string, Fact & { gvk?: string[] }>
>;
// The published discovery document lists named groups only; the core group stands in a file of its own.
const resources = ["facts/core-resources.json", "facts/resources.json"].flatMap(
  (file) => JSON.parse(readFileSync(new URL(file, root), "utf8")) as readonly ResourceFact[],
);

const picked = served.map((name) => {
  const found = resources.find((r) => [r.group, r.version, r.resource].filter(Boolean).join("/") === name);
  if (found === undefined) throw new Error(`no resource ${name} in facts/*resources.json`);
  return found;
});
const roots = picked.map((r) => typeOf([r.group, r.version, r.kind].filter(Boolean).join("/")));
const lists = roots.map((name) => `${name}List`).filter((name) => name in types);
const closure = closureOf([...roots, ...lists, ...carried]);
const shortNameOf = nameAll(closure);

writeFileSync(
  new URL("generated/schemas.json", root),
  `${JSON.stringify(Object.fromEntries(closure.map((n) => [n, types[n]])))}\n`,
);
const numbers = JSON.parse(readFileSync(new URL("facts/field-numbers.json", root), "utf8")) as Readonly<
  Record<string, Readonly<Record<string, readonly string[]>>>
>;
// Structs that JSON takes apart (a volume's source) are no types of the published document, but messages on the wire.
const messages = [...messageClosure(closure)].sort();
writeFileSync(
  new URL("generated/field-numbers.json", root),
  `${JSON.stringify(Object.fromEntries(messages.map((name) => [name, numbers[name]])))}\n`,
);
writeFileSync(new URL("generated/types.ts", root), printTypes());
writeFileSync(new URL("generated/resources.ts", root), printResources());

function typeOf(gvk: string): string {
  const found = Object.entries(types).find(([, t]) => t.gvk?.includes(gvk));
  if (found === undefined) throw new Error(`no type ${gvk} in facts/types.json`);
  return found[0];
}

function closureOf(start: readonly string[]): readonly string[] {
  const seen = new Set<string>();
  const visit = (fact: Fact | undefined): void => {
    if (fact === undefined) return;
    if (fact.ref !== undefined && !seen.has(fact.ref)) {
      seen.add(fact.ref);
      visit(types[fact.ref]);
    }
    visit(fact.items);
    visit(fact.values);
    for (const property of Object.values(fact.properties ?? {})) visit(property);
  };
  for (const name of start) visit({ ref: name });
  return [...seen].sort();
}

function messageClosure(start: readonly string[]): ReadonlySet<string> {
  const seen = new Set<string>();
  const visit = (name: string): void => {
    if (seen.has(name) || numbers[name] === undefined) return;
    seen.add(name);
    for (const [, type = ""] of Object.values(numbers[name])) visit(type.replace(/^list:/, ""));
  };
  for (const name of start) visit(name);
  return seen;
}

function nameAll(names: readonly string[]): ReadonlyMap<string, string> {
  const result = new Map<string, string>();
  const taken = new Set<string>();
  for (const name of names) {
    const short = name.split(".").at(-1) ?? name;
    if (taken.has(short)) throw new Error(`two types are called ${short}: give one a name of its own here`);
    taken.add(short);
    result.set(name, short);
  }
  return result;
}

function printTypes(): string {
  const lines = ["// Generated by setup/generate-kinds.ts from api/kinds/facts. Do not edit.", ""];
  for (const name of closure) {
    const fact = types[name];
    const short = shortNameOf.get(name);
    if (fact === undefined) throw new Error(`${name} is referred to but not in facts/types.json`);
    if (fact.properties === undefined) {
      lines.push(`export type ${short} = ${scalar(name, fact)};`, "");
      continue;
    }
    lines.push(`export interface ${short} {`);
    for (const [property, child] of Object.entries(fact.properties)) {
      const optional = fact.required?.includes(property) === true ? "" : "?";
      const key = /^[A-Za-z_$][\w$]*$/.test(property) ? property : JSON.stringify(property);
      lines.push(`  readonly ${key}${optional}: ${print(child)};`);
    }
    lines.push("}", "");
  }
  return lines.join("\n");
}

function scalar(name: string, fact: Fact): string {
  if (name.endsWith("IntOrString") || name.endsWith("Quantity")) return "string | number";
  return fact.type === undefined ? "unknown" : print(fact);
}

function print(fact: Fact): string {
  if (fact.ref !== undefined) return shortNameOf.get(fact.ref) ?? "unknown";
  switch (fact.type) {
    case "array":
      return `readonly ${element(fact.items ?? {})}[]`;
    case "object":
      return `Readonly<Record<string, ${print(fact.values ?? {})}>>`;
    case "integer":
    case "number":
      return "number";
    case "boolean":
      return "boolean";
    case "string":
      return "string";
    default:
      return "unknown";
  }
}

function element(fact: Fact): string {
  const printed = print(fact);
  return printed.includes(" ") ? `(${printed})` : printed;
}

function printResources(): string {
  const lines = [
    "// Generated by setup/generate-kinds.ts from api/kinds/facts. Do not edit.",
    'import type { Resource } from "../resource.ts";',
    "import type {",
    ...roots.map((name) => `  ${shortNameOf.get(name)},`),
    '} from "./types.ts";',
    "",
  ];
  picked.forEach((r, i) => {
    const fields = {
      group: r.group ?? "",
      version: r.version,
      resource: r.resource,
      singular: r.singular,
      kind: r.kind,
      namespaced: r.scope === "Namespaced",
      verbs: r.verbs,
      shortNames: r.shortNames ?? [],
      categories: r.categories ?? [],
      subresources: r.subresources ?? [],
      type: roots[i],
    };
    lines.push(
      `export const ${r.resource}: Resource<${shortNameOf.get(roots[i] ?? "")}> = ${JSON.stringify(fields, null, 2)};`,
      "",
    );
  });
  lines.push(`export const resources = [${picked.map((r) => r.resource).join(", ")}] as const;`, "");
  return lines.join("\n");
}
