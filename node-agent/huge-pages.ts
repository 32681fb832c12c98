// Huge pages that the machine's owner set aside, as resources of the node. Source: Documentation/admin-guide/mm/hugetlbpage.rst.
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

export interface HugePages {
  /** "hugepages-2Mi" */
  readonly resource: string;
  readonly bytes: number;
}

const folder = "/sys/kernel/mm/hugepages";

/** One for each size of page that the kernel knows, also when none is set aside. */
export async function readHugePages(from = folder): Promise<readonly HugePages[]> {
  const names = await readdir(from).catch(() => []);
  const all = await Promise.all(
    names.map(async (name): Promise<readonly HugePages[]> => {
      const kilobytes = Number(/^hugepages-(\d+)kB$/.exec(name)?.[1]);
      const count = Number(await readFile(join(from, name, "nr_hugepages"), "utf8").catch(() => ""));
      return kilobytes > 0 ? [{ resource: `hugepages-${sizeText(kilobytes)}`, bytes: count * kilobytes * 1024 }] : [];
    }),
  );
  return all.flat().toSorted((a, b) => (a.resource < b.resource ? -1 : 1));
}

function sizeText(kilobytes: number): string {
  if (kilobytes % 2 ** 20 === 0) return `${kilobytes / 2 ** 20}Gi`;
  return kilobytes % 1024 === 0 ? `${kilobytes / 1024}Mi` : `${kilobytes}Ki`;
}
