// configMap volumes: a ConfigMap's keys as files that follow it.
import { type Files, writeFiles } from "./atomic-files.ts";
import { configMapKeys, keyFiles } from "./key-files.ts";
import { type VolumeContext, VolumeError, type VolumeType } from "./volume-type.ts";

export const configMapVolume: VolumeType = {
  field: "configMap",
  setUp: async (context) => {
    await writeFiles(context.dir, files(context), { fsGroup: context.fsGroup });
    return { path: context.dir, readOnly: true };
  },
  refresh: async (context) => {
    await writeFiles(context.dir, files(context), { fsGroup: context.fsGroup });
  },
};

function files({ volume, configMap }: VolumeContext): Files {
  const { name = "", items, defaultMode = 0o644, optional = false } = volume.configMap ?? {};
  const found = configMap(name);
  if (found === undefined && !optional) throw new VolumeError(`configmap "${name}" not found`);
  return keyFiles(found === undefined ? undefined : configMapKeys(found), { items, defaultMode, optional });
}
