// naru top: what nodes and pods use right now.
import type { KubeObject } from "../../api/kinds/resource.ts";
import { bytes, parseQuantity } from "../../api/kinds/schema/quantity.ts";
import { type Command, connectionOptions, namespaceOptions, UsageError } from "../command.ts";
import { connect } from "../connection.ts";
import { namespaceOf } from "../resources.ts";
import { printTable } from "../terminal.ts";

interface Amounts {
  readonly cpu: string;
  readonly memory: string;
}

export interface Used extends KubeObject {
  readonly usage?: Amounts;
  readonly containers?: readonly { readonly name: string; readonly usage: Amounts }[];
}

export const top: Command = {
  name: "top",
  summary: "Show what nodes and pods use",
  usage: "top nodes|pods [-A] [-l LABELS]",
  examples: ["naru top nodes", "naru top pods -A", "naru top pods -l app=web"],
  options: {
    ...connectionOptions,
    ...namespaceOptions,
    "all-namespaces": { type: "boolean", short: "A", help: "pods of all namespaces" },
    selector: { type: "string", short: "l", value: "LABELS", help: "only those with these labels" },
  },
  arguments: [{ type: "words", words: ["nodes", "pods"] }],
  run: async (invocation) => {
    const what = { no: "nodes", node: "nodes", nodes: "nodes", po: "pods", pod: "pods", pods: "pods" }[
      invocation.positionals[0] ?? ""
    ];
    if (what === undefined) throw new UsageError("top takes nodes or pods");
    const connection = await connect(invocation);
    const all = invocation.flag("all-namespaces");
    const scope = what === "nodes" || all ? "" : `/namespaces/${namespaceOf(invocation, connection)}`;
    const query = new URLSearchParams({ labelSelector: invocation.text("selector") ?? "" });
    const path = `/apis/metrics.k8s.io/v1beta1${scope}/${what}?${query}`;
    const { items } = await connection.send<{ items: readonly Used[] }>("GET", path, { signal: invocation.signal });
    connection.close();
    if (items.length === 0) console.error(`No ${what} that run.`);
    else {
      const rows = items.map((item) => [
        ...(all ? [item.metadata?.namespace ?? ""] : []),
        item.metadata?.name ?? "",
        ...amountsOf(item),
      ]);
      console.log(printTable([...(all ? ["NAMESPACE"] : []), "NAME", "CPU", "MEMORY"], rows));
    }
    return 0;
  },
};

/** Sums, in thousandths of a core and mebibytes. */
export function amountsOf({ usage, containers = [] }: Used): readonly [cpu: string, memory: string] {
  const all = usage === undefined ? containers.map((one) => one.usage) : [usage];
  const nanos = all.reduce((sum, { cpu }) => sum + (parseQuantity(cpu)?.nanos ?? 0n), 0n);
  const memory = all.reduce((sum, one) => sum + bytes(one.memory), 0);
  return [`${Math.ceil(Number(nanos) / 1e6)}m`, `${Math.ceil(memory / 1024 / 1024)}Mi`];
}
