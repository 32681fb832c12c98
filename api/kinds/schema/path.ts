// Field paths as Kubernetes writes them: spec.containers[0].image, metadata.labels[app].

export function child(path: string, name: string): string {
  return path === "" ? name : `${path}.${name}`;
}

export function at(path: string, index: number): string {
  return `${path}[${index}]`;
}

/** An entry of a map whose keys the user chose. */
export function key(path: string, name: string): string {
  return `${path}[${name}]`;
}

/** The value at a path of plain field names ("spec.template.spec"), undefined when a part is missing. */
export function valueAt(object: unknown, path: string): unknown {
  let value = object;
  for (const name of path.split(".")) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, name)) return undefined;
    value = (value as Readonly<Record<string, unknown>>)[name];
  }
  return value;
}
