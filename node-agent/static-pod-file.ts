// What a file of static pods says: pods as they run on this node.
import { createHash } from "node:crypto";
import { parseAllDocuments } from "yaml";
import type { Pod } from "../api/kinds/generated/types.ts";
import type { FieldError } from "../api/kinds/kind.ts";
import { podKind } from "../api/kinds/pod.ts";
import { schemaDefaults } from "../api/kinds/schema/defaults.ts";
import { prune } from "../api/kinds/schema/prune.ts";
import { unsupportedIn } from "../api/kinds/schema/unsupported.ts";
import { validateSchema } from "../api/kinds/schema/validate.ts";
import { hashAnnotation } from "./static-pods.ts";

const sourceAnnotation = "kubernetes.io/config.source";

export interface StaticPodFile {
  readonly path: string;
  readonly nodeName: string;
  /** Told of fields without effect. */
  readonly warn?: (message: string) => void;
}

/** The pods of one file, as they run on this node, by the rules that the API has for others; throws with what is wrong and where. */
export function parseStaticPods(text: string, file: StaticPodFile): readonly Pod[] {
  const { path } = file;
  return parseAllDocuments(text).flatMap((document) => {
    const [error] = document.errors;
    if (error !== undefined) throw new Error(`${path}: ${error.message}`);
    const read = document.toJS() as Pod | null;
    if (read === null) return [];
    if (read.kind !== "Pod" || read.apiVersion !== "v1" || read.metadata?.name === undefined) {
      throw new Error(`${path}: must hold Pods of v1 with names`);
    }
    refuse(path, validateSchema(podKind.resource.type, read));
    const { object, unknown } = prune(podKind.resource.type, { ...read });
    for (const message of unknown) file.warn?.(message);
    const pod = staticPod(object as Pod, file);
    refuse(path, [...(podKind.validate?.(pod) ?? []), ...(podKind.validateCreate?.(pod) ?? [])]);
    for (const field of unsupportedIn(pod, podKind.unsupportedFields ?? []))
      file.warn?.(`field ${JSON.stringify(field)} is accepted but has no effect yet`);
    return [pod];
  });
}

function refuse(path: string, [wrong]: readonly FieldError[]): void {
  if (wrong !== undefined) throw new Error(`${path}: ${wrong.field}: ${wrong.message}`);
}

function staticPod(read: Pod, { path, nodeName }: StaticPodFile): Pod {
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
  const filled: Pod = schemaDefaults(podKind.resource.type, { ...pod });
  return podKind.defaults?.(filled) ?? filled;
}
