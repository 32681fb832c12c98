// naru doctor: looks for everything that Naru needs of this machine, and says how to get what is missing.

import { type Command, UsageError } from "../command.ts";
import { machineChecks } from "../machine-checks.ts";
import { machineExtras } from "../machine-extras.ts";
import { dim, green, printTable, red } from "../terminal.ts";

export const doctor: Command = {
  name: "doctor",
  summary: "Tell what this machine lacks and how to get it",
  usage: "doctor",
  examples: ["naru doctor", "naru doctor -o json"],
  options: {
    output: { type: "string", short: "o", value: "FORM", help: "json", complete: { type: "words", words: ["json"] } },
  },
  run: async (invocation) => {
    const form = invocation.text("output");
    if (form !== undefined && form !== "json") throw new UsageError(`-o takes json, got ${JSON.stringify(form)}`);
    const results = machineChecks.map(({ name, check }) => {
      const problem = check();
      return { name, ok: problem === undefined, problem };
    });
    const extras = machineExtras();
    const broken = results.filter(({ ok }) => !ok);
    if (form === "json") console.log(JSON.stringify([...results, ...extras], null, 2));
    else {
      console.log(
        printTable(
          [],
          [
            ...results.map(({ name, ok, problem }) => [ok ? green("ok") : red("missing"), name, problem ?? ""]),
            ...extras.map(({ name, found }) => [dim("has"), name, found]),
          ],
        ),
      );
      console.log(
        broken.length === 0
          ? "\nThis machine has everything that Naru needs."
          : `\n${broken.length} of ${results.length} checks failed.`,
      );
    }
    return broken.length === 0 ? 0 : 1;
  },
};
