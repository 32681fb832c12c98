// What a file of static pods says: pods as they run on this node.
import { createHash } from "node:crypto";
import { parseAllDocuments } from "yaml";
import type { Pod } from "../api/kinds/generated/types.ts";
import { podKind } from "../api/kinds/pod.ts";
import { hashAnnotation } from "./static-pods.ts";

const sourceAnnotation = "kubernetes.io/config.source";

/** The pods of one file, as they run on this node; throws with what is wrong and where. */
export function parseStaticPods(
  text: string,
  { path, nodeName }: { readonly path: string; readonly nodeName: string },
): readonly Pod[] {
  return parseAllDocuments(text).flatMap((document) => {
    const [error] = document.errors;
    if (error !== undefined) throw new Error(`${path}: ${error.message}`);
    const read = document.toJS() as Pod | null;
    if (read === null) return [];
    if (read.kind !== "Pod" || read.apiVersion !== "v1" || read.metadata?.name === undefined) {
      throw new Error(`${path}: must hold Pods of v1 with names`);
    }
    const pod = staticPod(read, { path, nodeName });
    const [wrong] = podKind.validate?.(pod) ?? [];
    if (wrong !== undefined) throw new Error(`${path}: ${wrong.field}: ${wrong.message}`);
    return [pod];
  });
}

function staticPod(read: Pod, { path, nodeName }: { readonly path: string; readonly nodeName: string }): Pod {
  const hash = createHash("sha256")
    .update(`${nodeName}\0${path}\0${JSON.stringify(read)}`)
    .digest("hex")
    .slice(0, 32);
  const { labels, annotations, name, namespace = "default" } = read.metadata ?? {};
  const spec = { containers: [], ...read.spec };
  const pod: Pod = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name: `${name}-${nodeName}`,
      namespace,
      uid: hash,
      ...(labels === undefined ? {} : { labels }),
      annotations: { ...annotations, [hashAnnotation]: hash, [sourceAnnotation]: "file" },
    },
    // Nothing that the cluster thinks of its node ends it.
    spec: {
      ...spec,
      nodeName,
      tolerations: [...(spec.tolerations ?? []), { operator: "Exists", effect: "NoExecute" }],
    },
  };
  return podKind.defaults?.(pod) ?? pod;
}
