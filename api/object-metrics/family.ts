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

/** A metric's help and type; printed also when there are no samples, so that one sees what there is. */
export function printHead({ name, help, type }: Omit<Family<never>, "samples">): string {
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`;
}

export function printSamples<T>({ name, samples }: Family<T>, objects: readonly T[]): string {
  let lines = "";
  for (const object of objects) {
    for (const [labels, value] of samples(object)) lines += `${name}{${printLabels(labels)}} ${value}\n`;
  }
  return lines;
}

/** One sample per possible state: 1 for the present one, 0 for the others, so that a query for any of them finds a series. */
export function oneOf(labels: Labels, name: string, states: readonly string[], present: string): readonly Sample[] {
  return states.map((state) => [{ ...labels, [name]: state }, state === present ? 1 : 0]);
}

const escapes: Readonly<Record<string, string>> = { "\\": "\\\\", '"': '\\"', "\n": "\\n" };

function printLabels(labels: Labels): string {
  let text = "";
  for (const name in labels) text += `${text === "" ? "" : ","}${name}="${escaped(labels[name] ?? "")}"`;
  return text;
}

const special = /[\\"\n]/;

function escaped(value: string): string {
  return special.test(value) ? value.replaceAll(/[\\"\n]/g, (one) => escapes[one] ?? one) : value;
}
