// naru complete: what could follow an unfinished command line; the shells' completion asks it at each Tab.
import type { KubeObject } from "../../api/kinds/resource.ts";
import { type Command, connectionOptions } from "../command.ts";
import { commands } from "../commands.ts";
import { completeWords } from "../complete.ts";
import { connect } from "../connection.ts";
import { kindWords, pathOf, resourceOf } from "../resources.ts";

/** A cluster that does not answer must not hold up the shell. */
const answerMsMax = 1000;
const namesMax = 500;

export const complete: Command = {
  name: "complete",
  summary: "Print what could follow, for shell completion",
  usage: "complete -- WORD…",
  examples: ["naru complete -- get po"],
  options: connectionOptions,
  run: async (invocation) => {
    const namesOf = async (kind: string, namespace: string | undefined) => {
      try {
        const resource = resourceOf(kind);
        const connection = await connect(invocation);
        const path = pathOf(resource, namespace ?? connection.namespace);
        const { items } = await connection.send<{ items: KubeObject[] }>("GET", `${path}?limit=${namesMax}`, {
          accept: "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json",
          signal: AbortSignal.timeout(answerMsMax),
        });
        connection.close();
        return items.map(({ metadata }) => metadata?.name ?? "");
      } catch {
        return [];
      }
    };
    const shown = commands.filter(({ hidden }) => hidden !== true);
    for (const word of await completeWords(invocation.rest, { commands: shown, kinds: kindWords, namesOf }))
      console.log(word);
    return 0;
  },
};
