import assert from "node:assert/strict";
import { test } from "node:test";
import { othersFor, ownerOf } from "./cluster-peers.ts";

const nodes = Array.from({ length: 8 }, (_, i) => ({ name: `node-${i}`, url: `https://10.0.0.${i}:10250/` }));
const tls = () => ({ cert: "", key: "", ca: "" });
const seenBy = (nodeName: string, present = nodes) => ({ nodeName, nodes: () => present, tls });
const names = Array.from({ length: 400 }, (_, i) => `docker.io/library/image-${i}`);

test("ownerOf is the same one for every node, itself told by undefined", () => {
  for (const name of names.slice(0, 20)) {
    const owners = nodes.map((node) => ownerOf(name, seenBy(node.name))?.name ?? node.name);
    assert.equal(new Set(owners).size, 1);
  }
});

test("ownerOf spreads images over nodes, and moves only those of a node that went", () => {
  const owner = (name: string, present = nodes) => ownerOf(name, seenBy("stranger", present))?.name;
  const counts = nodes.map((node) => names.filter((name) => owner(name) === node.name).length);
  assert.ok(
    counts.every((count) => count > 20 && count < 90),
    String(counts),
  );
  const left = nodes.filter(({ name }) => name !== "node-3");
  const moved = names.filter((name) => owner(name) !== owner(name, left));
  assert.deepEqual(new Set(moved.map((name) => owner(name))), new Set(["node-3"]));
});

test("othersFor names each other node once, in an order of the image's own", () => {
  const others = othersFor("a", seenBy("node-2")).map(({ name }) => name);
  assert.deepEqual(
    [
      [...others].sort(),
      others.join() ===
        othersFor("b", seenBy("node-2"))
          .map(({ name }) => name)
          .join(),
    ],
    [nodes.map(({ name }) => name).filter((name) => name !== "node-2"), false],
  );
});
