// post_start and pre_stop: commands that run in the container once it has started, and before it is told to end.
import type { ServiceDraft } from "../draft.ts";
import type { Node } from "../nodes.ts";
import { type Fields, type Reader, without } from "../read.ts";
import { commandOf } from "./container.ts";

interface Hook {
  command: readonly string[];
}

export const hookFields: Fields<ServiceDraft> = {
  post_start: ({ container }, node, reader) => {
    const exec = readHook(node, reader, "post_start");
    if (exec !== undefined) container.lifecycle = { ...container.lifecycle, postStart: { exec } };
  },
  pre_stop: ({ container }, node, reader) => {
    const exec = readHook(node, reader, "pre_stop");
    if (exec !== undefined) container.lifecycle = { ...container.lifecycle, preStop: { exec } };
  },
};

const asTheService = "it runs as the service does";

export const hookKeys: Fields<Hook> = {
  command: (hook, node, reader) => {
    hook.command = commandOf(node, reader, "command");
  },
  user: without(asTheService),
  privileged: without(asTheService),
  working_dir: without(asTheService),
  environment: without(asTheService),
};

function readHook(node: Node, reader: Reader, what: string): { readonly command: string[] } | undefined {
  const [item, second] = reader.list(node, what);
  if (item === undefined) return undefined;
  if (second !== undefined)
    return reader.fail(second.place, `${what} takes one command: put them together, such as sh -c 'one && two'`);
  const hook: Hook = { command: [] };
  reader.fields(item, what, hookKeys, hook);
  if (hook.command.length === 0) return reader.fail(item.place, `${what} needs a command`);
  return { command: [...hook.command] };
}
