// downwardAPI volumes: the pod's own fields as files that follow them.

import type { DownwardAPIVolumeFile } from "../../api/kinds/generated/types.ts";
import { type Files, type FileToWrite, writeFiles } from "./atomic-files.ts";
import type { VolumeContext, VolumeType } from "./volume-type.ts";

export const downwardApiVolume: VolumeType = {
  field: "downwardAPI",
  setUp: async (context) => {
    await writeFiles(context.dir, files(context), { fsGroup: context.fsGroup });
    return { path: context.dir, readOnly: true };
  },
  refresh: async (context) => {
    await writeFiles(context.dir, files(context), { fsGroup: context.fsGroup });
  },
};

/** Also for projected volumes. */
export function downwardFiles(
  context: VolumeContext,
  items: readonly DownwardAPIVolumeFile[],
  defaultMode: number,
): Files {
  const files = new Map<string, FileToWrite>();
  for (const item of items) {
    files.set(item.path, { content: Buffer.from(context.downwardText(item)), mode: item.mode ?? defaultMode });
  }
  return files;
}

function files(context: VolumeContext): Files {
  const { items = [], defaultMode = 0o644 } = context.volume.downwardAPI ?? {};
  return downwardFiles(context, items, defaultMode);
}
