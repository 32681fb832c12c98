// Fields of a service that say what runs.
import type { ServiceDraft } from "../draft.ts";
import { parseEnvFile } from "../env-file.ts";
import type { Node } from "../nodes.ts";
import { fileBeside } from "../paths.ts";
import type { Fields, Reader } from "../read.ts";
import { shellWords } from "../shell-words.ts";
import { readBuild } from "./build.ts";

export const containerFields: Fields<ServiceDraft> = {
  image: ({ container }, node, reader) => {
    container.image = reader.text(node, "image") ?? "";
  },
  command: ({ container }, node, reader) => {
    container.args = [...commandOf(node, reader, "command")];
  },
  entrypoint: ({ container }, node, reader) => {
    const words = commandOf(node, reader, "entrypoint");
    if (words.length > 0) container.command = [...words];
    else reader.note(node.place, "an empty entrypoint keeps the image's own: name the program to run");
  },
  environment: (draft, node, reader) => {
    for (const [name, value] of reader.keyValues(node, "environment")) {
      const known = value ?? draft.project.variables[name];
      if (known !== undefined) draft.env.set(name, { name, value: escaped(known) });
    }
  },
  env_file: (draft, node, reader) => {
    for (const item of node.type === "list" ? node.items : [node]) {
      const isMap = item.type === "map";
      const path = isMap ? item.entries.get("path") : item;
      const required = isMap ? item.entries.get("required") : undefined;
      const file = path === undefined ? undefined : reader.text(path, "env_file");
      if (file === undefined) continue;
      const from = fileBeside(draft.project.directory, file);
      const text = draft.project.readText(from);
      if (text === undefined) {
        if (required === undefined || reader.boolean(required, "env_file.required") !== false)
          reader.fail(item.place, `env_file: there is no file ${from}`);
        continue;
      }
      for (const [name, value] of Object.entries(parseEnvFile(text, from, draft.project.variables))) {
        draft.fileEnv.set(name, { name, value: escaped(value) });
      }
    }
  },
  working_dir: ({ container }, node, reader) => {
    container.workingDir = reader.text(node, "working_dir") ?? "";
  },
  tty: ({ container }, node, reader) => {
    container.tty = reader.boolean(node, "tty") ?? false;
  },
  stdin_open: ({ container }, node, reader) => {
    container.stdin = reader.boolean(node, "stdin_open") ?? false;
  },
  pull_policy: ({ container, build }, node, reader) => {
    const policy = reader.word(node, "pull_policy", ["always", "never", "missing", "if_not_present", "build"] as const);
    if (policy === "build") build.always = true;
    else if (policy !== undefined)
      container.imagePullPolicy = {
        always: "Always",
        never: "Never",
        missing: "IfNotPresent",
        if_not_present: "IfNotPresent",
      }[policy];
  },
  platform: ({ pod }, node, reader) => {
    const [os, arch] = (reader.text(node, "platform") ?? "linux").split("/");
    if (os !== "linux") reader.fail(node.place, `platform ${os}: nodes run Linux`);
    else if (arch !== undefined) pod.nodeSelector = { ...pod.nodeSelector, "kubernetes.io/arch": arch };
  },
  stop_grace_period: ({ pod }, node, reader) => {
    pod.terminationGracePeriodSeconds = Math.ceil(reader.seconds(node, "stop_grace_period") ?? 10);
  },
  stop_signal: ({ container }, node, reader) => {
    const signal = reader.text(node, "stop_signal") ?? "SIGTERM";
    container.lifecycle = { ...container.lifecycle, stopSignal: signal.startsWith("SIG") ? signal : `SIG${signal}` };
  },
  labels: (draft, node, reader) => {
    for (const [name, value] of reader.keyValues(node, "labels")) draft.annotations[name] = value ?? "";
  },
  annotations: (draft, node, reader) => {
    for (const [name, value] of reader.keyValues(node, "annotations")) draft.annotations[name] = value ?? "";
  },
  build: (draft, node, reader) => {
    draft.build.plan = readBuild(node, draft.project, reader);
  },
  profiles: () => {},
};

/** A command as a list, or as one text that is taken apart as a shell would; ["sh", "-c", …] is what a shell needs. */
export function commandOf(node: Node, reader: Reader, what: string): readonly string[] {
  if (node.type === "list") return reader.texts(node, what).map(escaped);
  if (node.type === "scalar" && (node.value === null || node.value === "")) return [];
  const text = reader.text(node, what);
  if (text === undefined) return [];
  const words = shellWords(text);
  if (words === undefined) reader.fail(node.place, `${what}: a quotation mark is not closed`);
  return (words ?? []).map(escaped);
}

// "$(" would be read as a reference to another variable.
function escaped(value: string): string {
  return value.replaceAll("$(", "$$(");
}
