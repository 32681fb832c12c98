// Temporary folders of tests, named for the test's process, so that the next run knows those of a killed one.
import { mkdtempSync, readlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

// Process numbers mean nothing outside of their namespace, and cgroups are seen in several.
const pidNamespace = (Number(/\d+/.exec(readlinkSync("/proc/self/ns/pid"))?.[0]) - 4_026_531_836).toString(36);

/** What names of this test process's things begin with. */
export const ownTest = `test-${process.pid}p${pidNamespace}`;

/** Such as /tmp/naru-test-123p0-registry-Ab3dE6. */
export function makeTestFolder(kind: string): string {
  return mkdtempSync(join(tmpdir(), `naru-${ownTest}-${kind}-`));
}

/** The process of the test that a folder, a cgroup or a cluster is named for; undefined also when it is of another namespace. */
export function testOf(name: string): number | undefined {
  const [, pid, namespace] = /^(?:naru-)?test-(\d+)p(-?[0-9a-z]+)(?:-|$)/.exec(name) ?? [];
  return pid === undefined || namespace !== pidNamespace ? undefined : Number(pid);
}
