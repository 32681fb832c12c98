// Defaults for the fields of one object.

/** A new object in which absent fields, and empty strings, have their default. */
export function fill<T extends object>(value: T, defaults: Partial<T>): T {
  const result: T = { ...defaults, ...value };
  for (const name of Object.keys(defaults) as (keyof T)[]) {
    if (result[name] === undefined || result[name] === "") Object.assign(result, { [name]: defaults[name] });
  }
  return result;
}
