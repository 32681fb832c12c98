// emptyDir volumes: scratch that lives as long as the pod, on disk, in memory or in huge pages.
import { chmod, chown, mkdir, rename, stat } from "node:fs/promises";
import type { Quantity } from "../../api/kinds/generated/types.ts";
import { bytes } from "../../api/kinds/schema/quantity.ts";
import { mountFileSystem } from "./mounts.ts";
import { VolumeError, type VolumeType } from "./volume-type.ts";

export const emptyDirVolume: VolumeType = {
  field: "emptyDir",
  setUp: async ({ pod, volume, dir, memoryDir, fsGroup, memoryBytesMax }) => {
    const { medium = "", sizeLimit } = volume.emptyDir ?? {};
    const access = fsGroup === undefined ? { mode: "0777" } : { mode: "2777", gid: String(fsGroup) };
    if (medium === "") {
      await makeFolder(dir, fsGroup);
      return { path: dir, readOnly: false };
    }
    if (medium === "Memory") {
      const sizeBytesMax = memorySizeMax(sizeLimit, memoryBytesMax);
      const size = sizeBytesMax === undefined ? {} : { size: String(sizeBytesMax) };
      await mountFileSystem("tmpfs", memoryDir, { ...access, ...size });
      return { path: memoryDir, readOnly: false };
    }
    if (medium === "HugePages" || medium.startsWith("HugePages-")) {
      const pagesize = String(medium === "HugePages" ? pageSizeOf(pod) : bytes(medium.slice("HugePages-".length)));
      await mountFileSystem("hugetlbfs", memoryDir, { ...access, pagesize });
      return { path: memoryDir, readOnly: false };
    }
    throw new VolumeError(
      `emptyDir medium ${JSON.stringify(medium)} is not supported; it may be "", "Memory", "HugePages" or "HugePages-<size>"`,
    );
  },
};

/** The smaller of both in whole bytes; undefined: neither limits anything. A limit of 0 is none, as for tmpfs itself. */
export function memorySizeMax(sizeLimit: Quantity | undefined, memoryBytesMax: number | undefined): number | undefined {
  const limits = [sizeLimit === undefined ? 0 : bytes(sizeLimit), memoryBytesMax ?? 0].map(Math.ceil);
  const given = limits.filter((limit) => limit > 0 && Number.isFinite(limit));
  return given.length === 0 ? undefined : Math.min(...given);
}

// Every user of the pod may write. Made aside, so that one that is there is whole, and what a container made of it stays.
async function makeFolder(dir: string, fsGroup: number | undefined): Promise<void> {
  if ((await stat(dir).catch(() => undefined)) !== undefined) return;
  const fresh = `${dir}.new`;
  await mkdir(fresh, { recursive: true });
  if (fsGroup !== undefined) await chown(fresh, 0, fsGroup);
  await chmod(fresh, fsGroup === undefined ? 0o777 : 0o2777);
  await rename(fresh, dir);
}

/** The one size of pages that the pod's containers ask for. */
function pageSizeOf(pod: Parameters<VolumeType["setUp"]>[0]["pod"]): number {
  const names = (pod.spec?.containers ?? []).flatMap(({ resources }) => Object.keys(resources?.limits ?? {}));
  const sizes = [...new Set(names.filter((name) => name.startsWith("hugepages-")))];
  if (sizes.length !== 1 || sizes[0] === undefined)
    throw new VolumeError(`medium HugePages: containers ask for ${sizes.length} sizes of pages, one is needed`);
  return bytes(sizes[0].slice("hugepages-".length));
}
