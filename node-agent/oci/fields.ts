// Reads JSON that others wrote: every field by its name, every refusal with the field's path.

export class ConfigError extends Error {
  override readonly name = "ConfigError";
}

/** One object's fields. Absent and null are the same. */
export class Fields {
  readonly path: string;
  readonly #values: Readonly<Record<string, unknown>>;

  constructor(value: unknown, path: string) {
    if (typeof value !== "object" || value === null || Array.isArray(value))
      throw new ConfigError(`${path === "" ? "the file" : path}: an object is expected`);
    this.#values = { ...value };
    this.path = path;
  }

  text(name: string): string | undefined {
    const value = this.value(name);
    if (value === undefined || typeof value === "string") return value;
    throw this.wrong(name, "a string is expected");
  }

  /** A whole number, negative ones too. */
  whole(name: string): number | undefined {
    const value = this.value(name);
    if (value === undefined || (typeof value === "number" && Number.isInteger(value))) return value;
    throw this.wrong(name, "a whole number is expected");
  }

  flag(name: string): boolean {
    const value = this.value(name);
    if (value === undefined || typeof value === "boolean") return value === true;
    throw this.wrong(name, "true or false is expected");
  }

  texts(name: string): readonly string[] {
    return this.list(name, (value, path) => {
      if (typeof value !== "string") throw new ConfigError(`${path}: a string is expected`);
      return value;
    });
  }

  wholes(name: string): readonly number[] {
    return this.list(name, (value, path) => {
      if (typeof value !== "number" || !Number.isInteger(value))
        throw new ConfigError(`${path}: a whole number is expected`);
      return value;
    });
  }

  list<Item>(name: string, parse: (value: unknown, path: string) => Item): readonly Item[] {
    const value = this.value(name);
    if (value === undefined) return [];
    if (!Array.isArray(value)) throw this.wrong(name, "a list is expected");
    return value.map((item, i) => parse(item, `${this.pathOf(name)}[${i}]`));
  }

  objects<Item>(name: string, parse: (fields: Fields) => Item): readonly Item[] {
    return this.list(name, (value, path) => parse(new Fields(value, path)));
  }

  object(name: string): Fields | undefined {
    const value = this.value(name);
    return value === undefined ? undefined : new Fields(value, this.pathOf(name));
  }

  /** An object whose values are strings. */
  map(name: string): Readonly<Record<string, string>> {
    const fields = this.object(name);
    return Object.fromEntries((fields?.names() ?? []).map((key) => [key, fields?.text(key) ?? ""]));
  }

  names(): readonly string[] {
    return Object.keys(this.#values).filter((name) => this.value(name) !== undefined);
  }

  value(name: string): unknown {
    return this.#values[name] ?? undefined;
  }

  /** What the specification has and Naru does not do is never ignored. */
  refuse(name: string, why = "naru-oci does not support it"): void {
    const value = this.value(name);
    const empty =
      value === undefined || value === "" || value === false || (Array.isArray(value) && value.length === 0);
    if (!empty) throw this.wrong(name, why);
  }

  wrong(name: string, why: string): ConfigError {
    return new ConfigError(`${this.pathOf(name)}: ${why}`);
  }

  /** Of one of its fields, for words about it. */
  pathOf(name: string): string {
    return this.path === "" ? name : `${this.path}.${name}`;
  }
}
