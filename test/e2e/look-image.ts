// The image of pods that look at their files: the kernel tests' probe, some users, and files to mount as a volume.
import { readFileSync } from "node:fs";
import { buildProgram } from "../linux/rig.ts";
import { gzipLayer, makeImage, makeTar, type TestImage } from "../registry.ts";

const passwd = "root:x:0:0::/:\napp:x:1000:1001::/:\nother:x:2000:2001::/:\n";
const group = "extra:x:1234:app\n";

/** Runs as nobody in particular; its command is one of the probe's. */
export async function lookImage(): Promise<TestImage> {
  const tar = await makeTar([
    { name: "probe", mode: 0o755, content: readFileSync(buildProgram("probe")) },
    { name: "etc/", type: "directory", mode: 0o755 },
    { name: "etc/passwd", mode: 0o644, content: passwd },
    { name: "etc/group", mode: 0o644, content: group },
    { name: "data/", type: "directory", mode: 0o755 },
    { name: "data/hello", mode: 0o644, content: "from the image\n" },
  ]);
  return makeImage([gzipLayer(tar)], { config: { Entrypoint: ["/probe", "files"], Cmd: ["id", "."] } });
}
