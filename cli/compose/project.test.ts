import { deepEqual, equal } from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parse } from "yaml";
import { makeTestFolder } from "../../test/folders.ts";
import { configText } from "./look.ts";
import { readProject } from "./project.ts";

/** Names of a project and its services, read from within a folder that holds these files. */
function projectIn(files: Readonly<Record<string, string>>, within = "."): readonly (string | undefined)[] {
  const folder = makeTestFolder("project");
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  mkdirSync(join(folder, within), { recursive: true });
  const before = process.cwd();
  process.chdir(join(folder, within));
  try {
    const { name, objects } = readProject({ files: [], profiles: [], envFiles: [], quiet: true });
    return [name, ...objects.flatMap(({ kind, metadata }) => (kind === "Deployment" ? [metadata?.name] : []))];
  } finally {
    process.chdir(before);
  }
}

const service = (name: string) => `services: { ${name}: { image: a } }\n`;

test("files and the project's name come from .env, the usual names from folders above readProject", () => {
  const env = "COMPOSE_FILE=one.yaml:two.yaml\nCOMPOSE_PROJECT_NAME=both\n";
  deepEqual(projectIn({ ".env": env, "one.yaml": service("one"), "two.yaml": service("two") }), ["both", "one", "two"]);
  const above = { "compose.yaml": `name: above\n${service("web")}`, "compose.override.yaml": service("more") };
  deepEqual(projectIn(above, "src/deep"), ["above", "web", "more"]);
});

test("what is printed is a Compose file of the same meaning, for older YAML, too configText", () => {
  const folder = makeTestFolder("config");
  const path = join(folder, "compose.yaml");
  const write = (text: string) => {
    writeFileSync(path, text);
    return configText(readProject({ files: [path], profiles: [], envFiles: [], quiet: true }).file);
  };
  const service = { image: "a", command: "echo $$HOME", user: "33:33", restart: "no" };
  const text = write(JSON.stringify({ services: { web: service } }));
  deepEqual(parse(text, { version: "1.1" }), { services: { web: service } });
  equal(write(text), text);
});
