// Temporary folders of tests, named for the test's process, so that the next run knows those of a killed one.
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Such as /tmp/naru-test-123-registry-Ab3dE6. */
export function makeTestFolder(kind: string): string {
  return mkdtempSync(join(tmpdir(), `naru-test-${process.pid}-${kind}-`));
}

/** The process of the test that a folder, a cgroup or a cluster is named for. */
export function testOf(name: string): number | undefined {
  const pid = /^(?:naru-)?test-(\d+)(?:-|$)/.exec(name)?.[1];
  return pid === undefined ? undefined : Number(pid);
}
