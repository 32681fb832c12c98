// An image with a shell and the small programs that tests of pods use: Debian's static busybox under its programs' names.
import { readFile } from "node:fs/promises";
import { gzipLayer, makeImage, makeTar, type TestImage } from "../registry.ts";
import { debianProgram } from "../tools.ts";

const programs =
  "sh cat cp date echo env grep head hostname httpd id kill ln ls md5sum mkdir nc ps rm sed seq setsid sleep stat stty tail tar test touch true tty wc wget";

export async function shellImage(): Promise<TestImage> {
  const content = await readFile(await debianProgram("busybox-static", "bin/busybox"));
  const links = programs.split(" ").map((name) => ({
    name: `bin/${name}`,
    type: "symlink" as const,
    linkname: "busybox",
  }));
  const tar = await makeTar([
    { name: "bin/", type: "directory", mode: 0o755 },
    { name: "bin/busybox", mode: 0o755, content },
    ...links,
    { name: "etc/", type: "directory", mode: 0o755 },
    { name: "etc/passwd", content: "root:x:0:0:root:/root:/bin/sh\n" },
    { name: "tmp/", type: "directory", mode: 0o1777 },
  ]);
  return makeImage([gzipLayer(tar)], { config: { Cmd: ["sh"], Env: ["PATH=/bin"] } });
}
