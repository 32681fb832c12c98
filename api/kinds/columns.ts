// Printed columns that many kinds share, and short forms to write the others.
import type { Container } from "./generated/types.ts";
import type { Column } from "./kind.ts";
import type { KubeObject } from "./resource.ts";
import { ageOf } from "./schema/human-age.ts";

type Cell<T extends KubeObject> = Column<T>["cell"];

export function column<T extends KubeObject>(name: string, description: string, cell: Cell<T>): Column<T> {
  return { name, type: "string", description, priority: 0, cell };
}

export function numberColumn<T extends KubeObject>(
  name: string,
  description: string,
  cell: (object: T) => number | undefined,
): Column<T> {
  return { name, type: "integer", description, priority: 0, cell: (object) => cell(object) ?? 0 };
}

/** With -o wide only. */
export function wide<T extends KubeObject>(name: string, description: string, cell: Cell<T>): Column<T> {
  return { name, type: "string", description, priority: 1, cell };
}

export const nameColumn: Column<KubeObject> = {
  name: "Name",
  type: "string",
  format: "name",
  description: "Unique among its kind in its namespace.",
  priority: 0,
  cell: (object) => object.metadata?.name ?? "",
};

export const ageColumn: Column<KubeObject> = column("Age", "Time since it was created.", (object, nowMs) =>
  ageOf(object.metadata?.creationTimestamp, nowMs),
);

/** Names and images, as workloads show them with -o wide. */
export function containerColumns<T extends KubeObject>(
  containersOf: (object: T) => readonly Container[],
): readonly Column<T>[] {
  return [
    wide("Containers", "Names of the template's containers.", (object) =>
      containersOf(object)
        .map((c) => c.name)
        .join(","),
    ),
    wide("Images", "Images of the template's containers.", (object) =>
      containersOf(object)
        .map((c) => c.image ?? "")
        .join(","),
    ),
  ];
}

/** "a=b,c=d", or "<none>". */
export function labelsText(labels: Readonly<Record<string, string>> | undefined): string {
  const text = Object.entries(labels ?? {})
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${name}=${value}`)
    .join(",");
  return text === "" ? "<none>" : text;
}

/** The first few of a list, and how many more there are. */
export function someOf(values: readonly string[], max: number): string {
  if (values.length <= max) return values.join(",");
  return `${values.slice(0, max).join(",")} + ${values.length - max} more...`;
}
