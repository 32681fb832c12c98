// secret volumes: a Secret's keys as files in memory that follow it.
import { type Files, writeFiles } from "./atomic-files.ts";
import { keyFiles, secretKeys } from "./key-files.ts";
import { type VolumeContext, VolumeError, type VolumeType } from "./volume-type.ts";

export const secretVolume: VolumeType = {
  field: "secret",
  setUp: async (context) => {
    await writeFiles(context.memoryDir, files(context), { fsGroup: context.fsGroup });
    return { path: context.memoryDir, readOnly: true };
  },
  refresh: async (context) => {
    await writeFiles(context.memoryDir, files(context), { fsGroup: context.fsGroup });
  },
};

function files({ volume, secret }: VolumeContext): Files {
  const { secretName = "", items, defaultMode = 0o644, optional = false } = volume.secret ?? {};
  const found = secret(secretName);
  if (found === undefined && !optional) throw new VolumeError(`secret "${secretName}" not found`);
  return keyFiles(found === undefined ? undefined : secretKeys(found), { items, defaultMode, optional });
}
