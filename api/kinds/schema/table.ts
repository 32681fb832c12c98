// Lists as meta.k8s.io Table: what `kubectl get` prints.
import type { Column, Kind } from "../kind.ts";
import type { KubeObject } from "../resource.ts";
import type { JsonObject } from "./schema.ts";

export type IncludeObject = "None" | "Metadata" | "Object";

export interface TableOptions {
  readonly nowMs: number;
  /** Query parameter includeObject; Kubernetes' default is Metadata. */
  readonly includeObject?: IncludeObject;
  /** The list's metadata (resourceVersion, continue); absent in watch events. */
  readonly metadata?: JsonObject;
  /** Watch: only the first Table names its columns. */
  readonly withoutColumns?: true;
  /** "v1" | "v1beta1" of meta.k8s.io, as the client asked. */
  readonly version?: string;
}

export function tableOf<T extends KubeObject>(
  kind: Pick<Kind<T>, "columns">,
  objects: readonly T[],
  options: TableOptions,
): JsonObject {
  const version = options.version ?? "v1";
  return {
    kind: "Table",
    apiVersion: `meta.k8s.io/${version}`,
    metadata: options.metadata ?? {},
    columnDefinitions: options.withoutColumns === true ? null : kind.columns.map(definition),
    rows: objects.map((object) => ({
      cells: kind.columns.map((column) => column.cell(object, options.nowMs)),
      ...included(object, options.includeObject ?? "Metadata", version),
    })),
  };
}

function definition<T extends KubeObject>({ name, type, format, description, priority }: Column<T>): JsonObject {
  return {
    name,
    type: type === "date" ? "string" : type,
    format: format ?? (type === "date" ? "date" : ""),
    description,
    priority,
  };
}

function included(object: KubeObject, include: IncludeObject, version: string): JsonObject {
  switch (include) {
    case "None":
      return {};
    case "Object":
      return { object };
    case "Metadata":
      return {
        object: {
          kind: "PartialObjectMetadata",
          apiVersion: `meta.k8s.io/${version}`,
          metadata: object.metadata ?? {},
        },
      };
  }
}
