// What Prometheus learns of objects: a family is one metric over all objects of a kind, read from the cache at the scrape and printed at
// once, so that a cluster that nobody scrapes does not pay for it. Names and labels are those of kube-state-metrics, which dashboards know.
// Pure. Source: Prometheus documentation, "Exposition formats".

export type Labels = Readonly<Record<string, string>>;
export type Sample = readonly [labels: Labels, value: number];

export interface Family<T> {
  readonly name: string;
  readonly help: string;
  readonly type: "gauge" | "counter";
  readonly samples: (object: T) => readonly Sample[];
}

/** The families' lines; also of those without samples, so that one sees what there is. */
export function printFamilies<T>(families: readonly Family<T>[], objects: readonly T[]): string {
  return families.map((family) => printFamily(family, objects)).join("");
}

/** One sample per possible state: 1 for the present one, 0 for the others, so that a query for any of them finds a series. */
export function oneOf(labels: Labels, name: string, states: readonly string[], present: string): readonly Sample[] {
  return states.map((state) => [{ ...labels, [name]: state }, state === present ? 1 : 0]);
}

function printFamily<T>({ name, help, type, samples }: Family<T>, objects: readonly T[]): string {
  const lines = objects.flatMap((object) =>
    samples(object).map(([labels, value]) => `${name}{${printLabels(labels)}} ${value}\n`),
  );
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join("")}`;
}

const escapes: Readonly<Record<string, string>> = { "\\": "\\\\", '"': '\\"', "\n": "\\n" };

function printLabels(labels: Labels): string {
  return Object.entries(labels)
    .map(([name, value]) => `${name}="${value.replaceAll(/[\\"\n]/g, (special) => escapes[special] ?? special)}"`)
    .join(",");
}
