// A container's environment: the image's, then services, envFrom and env, later ones winning. Pure over what was looked up.
import type {
  ConfigMap,
  Container,
  EnvVarSource,
  PersistentVolume,
  PersistentVolumeClaim,
  RuntimeClass,
  Secret,
} from "../../api/kinds/generated/types.ts";
import { expand } from "./expand.ts";
import { type FieldContext, fieldValue, resourceValue } from "./field-values.ts";

/** Looks into what the server sent; undefined: not there (or not yet). */
export interface ConfigLookup {
  configMap(namespace: string, name: string): ConfigMap | undefined;
  secret(namespace: string, name: string): Secret | undefined;
  claim(namespace: string, name: string): PersistentVolumeClaim | undefined;
  persistentVolume(name: string): PersistentVolume | undefined;
  runtimeClass(name: string): RuntimeClass | undefined;
}

/** A reason why a container cannot be made, as a user reads it: CreateContainerConfigError. */
export class ConfigError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "ConfigError";
  }
}

export interface EnvInput {
  readonly container: Container;
  readonly imageEnv: readonly string[];
  readonly services: ReadonlyMap<string, string>;
  readonly fields: FieldContext;
  readonly lookup: ConfigLookup;
}

/** Of all variables together: the kernel gives a program no more (fs/exec.c, three quarters of the stack's 8 MiB). */
const envCharsMax = 6 * 1024 * 1024;

/** Throws ConfigError for a ConfigMap, Secret or key that is missing and not optional, and for more than a program can get. */
export function containerEnv(input: EnvInput): ReadonlyMap<string, string> {
  const env = new Map<string, string>();
  let chars = 0;
  const count = (value: string) => {
    chars += value.length;
    if (chars > envCharsMax)
      throw new ConfigError(
        `environment variables have more than ${envCharsMax} characters, the most that the kernel takes`,
      );
    return value;
  };
  for (const line of input.imageEnv) {
    const at = line.indexOf("=");
    if (at > 0) env.set(line.slice(0, at), line.slice(at + 1));
  }
  // $(NAME) sees what Kubernetes set, not what the image did.
  const set = new Map<string, string>(input.services);
  for (const [name, value] of fromSources(input)) set.set(name, count(value));
  for (const entry of input.container.env ?? []) {
    const value =
      entry.valueFrom === undefined
        ? expand(entry.value ?? "", (name) => set.get(name))
        : fromSource(entry.valueFrom, input);
    if (value !== undefined) set.set(entry.name, count(value));
  }
  for (const [name, value] of set) env.set(name, value);
  return env;
}

/** The keys of a Secret as bytes; stringData never comes back from the API. */
export function secretBytes(secret: Secret, key: string): Buffer | undefined {
  const value = secret.data?.[key];
  return value === undefined ? undefined : Buffer.from(value, "base64");
}

function* fromSources({ container, fields, lookup }: EnvInput): Generator<readonly [string, string]> {
  const namespace = fields.pod.metadata?.namespace ?? "default";
  for (const { prefix = "", configMapRef, secretRef } of container.envFrom ?? []) {
    if (configMapRef !== undefined) {
      const found = lookup.configMap(namespace, configMapRef.name ?? "");
      if (found === undefined && configMapRef.optional !== true) {
        throw new ConfigError(`configmap "${configMapRef.name ?? ""}" not found`);
      }
      for (const [key, value] of Object.entries(found?.data ?? {})) yield [prefix + key, value];
    }
    if (secretRef !== undefined) {
      const found = lookup.secret(namespace, secretRef.name ?? "");
      if (found === undefined && secretRef.optional !== true) {
        throw new ConfigError(`secret "${secretRef.name ?? ""}" not found`);
      }
      for (const key of Object.keys(found?.data ?? {})) {
        yield [prefix + key, found === undefined ? "" : (secretBytes(found, key)?.toString("utf8") ?? "")];
      }
    }
  }
}

function fromSource(source: EnvVarSource, input: EnvInput): string | undefined {
  const { fields, lookup, container } = input;
  const namespace = fields.pod.metadata?.namespace ?? "default";
  if (source.fieldRef !== undefined) {
    const value = fieldValue(source.fieldRef.fieldPath, fields);
    if (value === undefined) throw new ConfigError(`unsupported fieldPath: ${source.fieldRef.fieldPath}`);
    return value;
  }
  if (source.resourceFieldRef !== undefined) {
    const { containerName, divisor, resource } = source.resourceFieldRef;
    const of = findContainer(input, containerName) ?? container;
    const value = resourceValue(resource, divisor, of, fields.node);
    if (value === undefined) throw new ConfigError(`unsupported container resource: ${resource}`);
    return value;
  }
  if (source.configMapKeyRef !== undefined) {
    const { name = "", key, optional } = source.configMapKeyRef;
    const found = lookup.configMap(namespace, name);
    return (
      found?.data?.[key] ?? missing("configmap", "ConfigMap", found !== undefined, { name, key, optional, namespace })
    );
  }
  if (source.secretKeyRef !== undefined) {
    const { name = "", key, optional } = source.secretKeyRef;
    const found = lookup.secret(namespace, name);
    const value = found === undefined ? undefined : secretBytes(found, key)?.toString("utf8");
    return value ?? missing("secret", "Secret", found !== undefined, { name, key, optional, namespace });
  }
  return undefined;
}

function missing(
  resource: string,
  kind: string,
  found: boolean,
  ref: {
    readonly name: string;
    readonly key: string;
    readonly optional: boolean | undefined;
    readonly namespace: string;
  },
): undefined {
  if (ref.optional === true) return undefined;
  if (!found) throw new ConfigError(`${resource} "${ref.name}" not found`);
  throw new ConfigError(`couldn't find key ${ref.key} in ${kind} ${ref.namespace}/${ref.name}`);
}

function findContainer({ fields }: EnvInput, name: string | undefined): Container | undefined {
  if (name === undefined || name === "") return undefined;
  const { containers = [], initContainers = [] } = fields.pod.spec ?? {};
  return [...containers, ...initContainers].find((container) => container.name === name);
}
