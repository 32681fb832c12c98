// Mirrors of nodes' static pods in the API: made when they lack, removed when their file went. A node shows its own pods this way and
// gets nothing by it: a mirror that names Secrets or ConfigMaps is refused.
import type { Client } from "../../client/client.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Logger } from "../../lib/log.ts";
import type { Random } from "../../lib/random.ts";
import { pods } from "../kinds/generated/resources.ts";
import type { Pod } from "../kinds/generated/types.ts";
import { mirrored } from "../kinds/mirror-pod.ts";
import { keyOf } from "../kinds/resource.ts";
import { isReason } from "../kinds/status.ts";
import { openKeyedWork } from "./keyed-work.ts";
import { referencesOf } from "./references.ts";

export interface MirrorPods {
  /** All static pods of a node, as mirrors; `done` once the API shows just these. */
  report(node: string, mirrors: readonly Pod[], done: () => void): void;
  close(): void;
}

export interface MirrorPodsParts {
  readonly client: Client;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** Pods bound to the node, as last seen. */
  readonly podsOf: (node: string) => readonly Pod[];
  readonly nodeUid: (node: string) => string | undefined;
}

const mirrorsMax = 100;

export function openMirrorPods({ client, clock, random, log, podsOf, nodeUid }: MirrorPodsParts): MirrorPods {
  const wanted = new Map<string, { readonly mirrors: readonly Pod[]; readonly done: () => void }>();
  const closing = new AbortController();
  const work = openKeyedWork({
    clock,
    random,
    concurrency: 16,
    onError: (node, error) => log.warn({ node, error: String(error) }, "mirrors of static pods not written yet"),
    run: async (node) => {
      const entry = wanted.get(node);
      if (entry === undefined) return;
      const plan = planMirrors(node, nodeUid(node), entry.mirrors, podsOf(node));
      for (const { pod, why } of plan.refused)
        log.warn({ node, pod: pod.metadata?.name, why }, "refused a static pod's mirror");
      for (const { metadata } of plan.remove) {
        const { namespace = "", name = "", uid = "" } = metadata ?? {};
        const options = { gracePeriodSeconds: 0, preconditions: { uid } };
        await client.delete(pods, { namespace, name }, options, closing.signal).catch(ignore("NotFound", "Conflict"));
      }
      // One that is refused for now (its RuntimeClass is not there) keeps none of the others back.
      const failures: unknown[] = [];
      for (const pod of plan.create)
        await client
          .create(pods, pod, closing.signal)
          .catch(ignore("AlreadyExists", "Invalid"))
          .catch((error: unknown) => failures.push(error));
      if (failures.length > 0) throw failures[0];
      if (wanted.get(node) === entry) wanted.delete(node);
      entry.done();
    },
  });
  return {
    report: (node, mirrors, done) => {
      wanted.set(node, { mirrors, done });
      work.add(node);
    },
    close: () => {
      closing.abort(new Error("the server stops"));
      work.close();
    },
  };
}

export interface MirrorPlan {
  readonly create: readonly Pod[];
  readonly remove: readonly Pod[];
  readonly refused: readonly { readonly pod: Pod; readonly why: string }[];
}

/** Pure. A changed file's mirror is removed and made anew. */
export function planMirrors(
  node: string,
  nodeUid: string | undefined,
  wanted: readonly Pod[],
  present: readonly Pod[],
): MirrorPlan {
  const checked = wanted.slice(0, mirrorsMax).map((pod) => ({ pod, why: refusal(pod) }));
  const allowed = checked.filter(({ why }) => why === undefined).map(({ pod }) => owned(pod, node, nodeUid));
  const hashes = new Map(allowed.map((pod) => [keyOf(pod), mirrored(pod)]));
  const remove = present.filter((pod) => mirrored(pod) !== undefined && hashes.get(keyOf(pod)) !== mirrored(pod));
  const kept = new Map(present.filter((pod) => !remove.includes(pod)).map((pod) => [keyOf(pod), pod]));
  return {
    create: allowed.filter((pod) => !kept.has(keyOf(pod))),
    remove,
    refused: checked.flatMap(({ pod, why }) => (why === undefined ? [] : [{ pod, why }])),
  };
}

function refusal(pod: Pod): string | undefined {
  if (mirrored(pod) === undefined) return "it is no mirror";
  const references = referencesOf(pod);
  if (references.length > 0) return `a static pod may not name ${references.join(", ")}`;
  const account = pod.spec?.serviceAccountName ?? "default";
  return account === "default" ? undefined : `a static pod may not name the service account ${account}`;
}

function owned(pod: Pod, node: string, nodeUid: string | undefined): Pod {
  const { name = "", namespace = "default", labels, annotations } = pod.metadata ?? {};
  const owner = { apiVersion: "v1", kind: "Node", name: node, uid: nodeUid ?? "", controller: true };
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name,
      namespace,
      ...(labels === undefined ? {} : { labels }),
      ...(annotations === undefined ? {} : { annotations }),
      ...(nodeUid === undefined ? {} : { ownerReferences: [owner] }),
    },
    spec: { containers: [], ...pod.spec, nodeName: node },
  };
}

function ignore(...reasons: Parameters<typeof isReason>[1][]): (error: unknown) => undefined {
  return (error) => {
    if (!reasons.some((reason) => isReason(error, reason))) throw error;
  };
}
