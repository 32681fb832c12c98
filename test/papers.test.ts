// What the papers point at is there, and the map names every room and every decision.
import { deepEqual, ok } from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { glob } from "node:fs/promises";
import { dirname, join, normalize } from "node:path";
import { test } from "node:test";

const root = new URL("..", import.meta.url).pathname;
const read = (path: string) => readFileSync(join(root, path), "utf8");
const papers = (
  await Array.fromAsync(
    glob(
      "{*.md,{api,bench,charts,cli,client,compose,controllers,docs,lib,node-agent,proto,scheduler,server,setup,test}/**/*.md}",
      {
        cwd: root,
      },
    ),
  )
).sort();

test("links between papers, and files that they name, are there", () => {
  ok(papers.length > 30, "the check must look at the real papers");
  const dead = papers.flatMap((paper) => {
    const text = read(paper);
    const links = [...text.matchAll(/\]\(([^)#]+)(?:#[^)]*)?\)/g)]
      .map(([, link = ""]) => link)
      .filter((link) => !/^[a-z]+:/.test(link))
      .map((link) => normalize(join(dirname(paper), link)));
    const files = [
      ...text.matchAll(/`((?:api|cli|controllers|docs|node-agent|scheduler|test)\/[\w/.-]+\.(?:ts|c|md))`/g),
    ];
    return [...links, ...files.map(([, file = ""]) => file)]
      .filter((path) => !existsSync(join(root, path)))
      .map((path) => `${paper} -> ${path}`);
  });
  deepEqual(dead, []);
});

test("ARCHITECTURE.md names every room of the two largest parts, and every design note", () => {
  const map = read("ARCHITECTURE.md");
  const [, table = ""] = map.split("## Rooms");
  const folders = (part: string) =>
    readdirSync(join(root, part), { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name);
  const rooms = ["api", "node-agent"].flatMap((part) =>
    folders(part).filter((name) => !table.includes(`\`${part}/${name}/\``) && !table.includes(`\`${name}/\``)),
  );
  const notes = readdirSync(join(root, "docs/design")).filter((name) => /^\d/.test(name));
  const unnamed = notes.filter((name) => !map.includes(name) || !read("docs/design/README.md").includes(name));
  deepEqual({ rooms, unnamed }, { rooms: [], unnamed: [] });
});
