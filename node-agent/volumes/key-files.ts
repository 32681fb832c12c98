// The keys of a ConfigMap or a Secret as files: all of them, or the listed items. Pure.
import type { ConfigMap, KeyToPath, Secret } from "../../api/kinds/generated/types.ts";
import type { Files, FileToWrite } from "./atomic-files.ts";
import { VolumeError } from "./volume-type.ts";

export interface KeySource {
  /** "ConfigMap default/settings", for messages. */
  readonly title: string;
  readonly keys: ReadonlyMap<string, Uint8Array>;
}

export function configMapKeys(configMap: ConfigMap): KeySource {
  const keys = new Map<string, Uint8Array>();
  for (const [key, value] of Object.entries(configMap.data ?? {})) keys.set(key, Buffer.from(value));
  for (const [key, value] of Object.entries(configMap.binaryData ?? {})) keys.set(key, Buffer.from(value, "base64"));
  return { title: `configmap ${configMap.metadata?.namespace}/${configMap.metadata?.name}`, keys };
}

export function secretKeys(secret: Secret): KeySource {
  const keys = new Map<string, Uint8Array>();
  for (const [key, value] of Object.entries(secret.data ?? {})) keys.set(key, Buffer.from(value, "base64"));
  return { title: `secret ${secret.metadata?.namespace}/${secret.metadata?.name}`, keys };
}

/** `source` is undefined when the object is missing. Throws VolumeError for a listed key that is not there, unless optional. */
export function keyFiles(
  source: KeySource | undefined,
  options: {
    readonly items: readonly KeyToPath[] | undefined;
    readonly defaultMode: number;
    readonly optional: boolean;
  },
): Files {
  const files = new Map<string, FileToWrite>();
  if (source === undefined) return files;
  if (options.items === undefined || options.items.length === 0) {
    for (const [key, content] of source.keys) files.set(key, { content, mode: options.defaultMode });
    return files;
  }
  for (const { key, path, mode } of options.items) {
    const content = source.keys.get(key);
    if (content !== undefined) files.set(path, { content, mode: mode ?? options.defaultMode });
    else if (!options.optional) throw new VolumeError(`${source.title} references non-existent config key: ${key}`);
  }
  return files;
}
