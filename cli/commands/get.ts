// naru get: tables as the server prints them, or the objects themselves.
import { type Command, connectionOptions, namespaceOptions, UsageError } from "../command.ts";
import { connect } from "../connection.ts";
import { complain } from "../explain.ts";
import { askedOf } from "../get/asked.ts";
import { printChanges, startOf } from "../get/changes.ts";
import { printObjects } from "../get/objects.ts";
import { printTables } from "../get/tables.ts";

export const get: Command = {
  name: "get",
  summary: "List objects",
  usage: "get KIND[,KIND…] [NAME…] | get KIND/NAME",
  examples: [
    "naru get pods",
    "naru get pods -A -o wide",
    "naru get deploy web -o yaml",
    "naru get pods -l app=web -w",
    "naru get all",
  ],
  options: {
    ...connectionOptions,
    ...namespaceOptions,
    "all-namespaces": { type: "boolean", short: "A", help: "in all namespaces" },
    output: {
      type: "string",
      short: "o",
      value: "FORM",
      help: "wide, yaml, json or name",
      complete: { type: "words", words: ["wide", "yaml", "json", "name"] },
    },
    selector: {
      type: "string",
      short: "l",
      value: "LABELS",
      help: "only objects with these labels, such as app=web,tier!=test",
    },
    "field-selector": {
      type: "string",
      value: "FIELDS",
      help: "only objects with these fields, such as status.phase=Running",
    },
    watch: { type: "boolean", short: "w", help: "then print every change" },
    "no-headers": { type: "boolean", help: "leave the table's header out" },
  },
  arguments: [{ type: "kinds" }, { type: "names" }],
  run: async (invocation) => {
    if (invocation.positionals.length === 0)
      throw new UsageError("name a kind, such as pods; `naru get all` shows the usual ones");
    const form = invocation.text("output") ?? "table";
    if (!["table", "wide", "yaml", "json", "name"].includes(form))
      throw new UsageError(`-o takes wide, yaml, json or name, got ${JSON.stringify(form)}`);
    const asked = askedOf(invocation.positionals);
    if (invocation.flag("watch") && (asked.length > 1 || (asked[0]?.names?.length ?? 1) > 1))
      throw new UsageError("-w follows one kind, or one object");
    const connection = await connect(invocation);
    const view = { invocation, connection, form, titled: asked.length > 1 };
    // Taken before anything is printed: a change between is told twice rather than never.
    const [followed] = invocation.flag("watch") ? asked : [];
    const start = followed === undefined ? undefined : await startOf(view, followed);
    const missing =
      form === "table" || form === "wide" ? await printTables(view, asked) : await printObjects(view, asked);
    for (const error of missing) complain(error);
    if (missing.length === 0 && start !== undefined) await printChanges(view, start);
    connection.close();
    return missing.length === 0 ? 0 : 1;
  },
};
