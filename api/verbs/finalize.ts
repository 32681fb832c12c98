// namespaces/finalize: the namespace controller says that nothing is left; with its last finalizer the namespace goes.
import type { Namespace } from "../kinds/generated/types.ts";
import type { KubeObject } from "../kinds/resource.ts";
import { changeObject } from "./change.ts";
import type { Written } from "./commit.ts";
import type { Context, Target, WriteOptions } from "./context.ts";
import { decodeObject } from "./decode.ts";

/** Only spec.finalizers of the body counts. */
export function finalizeNamespace(
  context: Context,
  request: Target & { readonly body: unknown },
  write: WriteOptions,
): Promise<Written> {
  const decoded = decodeObject(request.kind, request.body, { write, name: request.name }) as Namespace;
  const finalizers = decoded.spec?.finalizers ?? [];
  const next = (live: KubeObject): Namespace => {
    const resourceVersion = decoded.metadata?.resourceVersion;
    const { resourceVersion: _, ...metadata } = live.metadata ?? {};
    return {
      ...live,
      metadata: { ...metadata, ...(resourceVersion === undefined ? {} : { resourceVersion }) },
      spec: { ...(live as Namespace).spec, finalizers },
    };
  };
  return changeObject(context, { target: request, part: "finalizers", next }, write);
}
