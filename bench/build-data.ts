// What builds are measured with: a Dockerfile, its context of 1,000 files, and the image that it begins with.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeTar } from "../test/registry.ts";
import { debianProgram } from "../test/tools.ts";

const files = 1_000;
export const baseImage = "bench/base";
export const builtImage = "bench/app";

/** Where the name of an image without a host means one that is here, `base` is its whole name there. */
export function makeContext(context: string, base = baseImage): string {
  for (let n = 0; n < files - 1; n++) {
    const directory = join(context, `dir-${n % 40}`);
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, `file-${n}`), `file ${n}\n`.repeat(1 + (n % 300)));
  }
  writeFileSync(
    join(context, "Dockerfile"),
    `FROM ${base}
ENV MODE=production
WORKDIR /app
COPY . .
RUN ls | wc -l > /count
RUN mkdir /out && cat dir-0/* > /out/all
`,
  );
  return context;
}

/** Each time another: a layer that is here already would be made and thrown away, so every build has something of its own. */
export function changeContext(context: string, change: number): void {
  writeFileSync(join(context, "dir-0/file-0"), `changed ${change}`);
}

/** What a container does that changes all files of the context. */
export const changeAll = "for file in dir-*/*; do echo changed > $file; done";

export async function baseTar(): Promise<Buffer> {
  const busybox = readFileSync(await debianProgram("busybox-static", "bin/busybox"));
  const tools = ["sh", "ls", "cat", "wc", "mkdir"];
  return await makeTar([
    { name: "bin/busybox", content: busybox, mode: 0o755 },
    ...tools.map((tool) => ({ name: `bin/${tool}`, type: "symlink" as const, linkname: "busybox" })),
  ]);
}
