import assert from "node:assert/strict";
import { test } from "node:test";
import { choosePlatform, type IndexEntry } from "./manifest.ts";

const entry = (name: string): IndexEntry => {
  const [os = "", architecture = "", variant] = name.split("/");
  const platform = { os, architecture, ...(variant === undefined ? {} : { variant }) };
  return { mediaType: "", digest: name, sizeBytes: 1, annotations: {}, platform };
};

const choose = (offered: readonly string[], os: string, architecture: string, variant?: string) => {
  try {
    const wanted = { os, architecture, ...(variant === undefined ? {} : { variant }) };
    return choosePlatform(offered.map(entry), wanted, "it").digest;
  } catch (error) {
    return String(error);
  }
};

test("the nearest of those that run is taken, later processors' only when there is nothing else choosePlatform", () => {
  const all = [
    "linux/amd64/v3",
    "linux/amd64",
    "linux/arm/v6",
    "linux/arm/v7",
    "linux/arm/v5",
    "linux/arm64/v8",
    "linux/riscv64/v2",
  ];
  assert.deepEqual(
    [
      choose(all, "linux", "amd64"),
      choose(all, "linux", "amd64", "v2"),
      choose(all, "linux", "amd64", "v4"),
      choose(all, "linux", "arm"),
      choose(all, "linux", "arm", "v6"),
      choose(all, "linux", "arm64"),
      choose(all, "linux", "riscv64"),
      choose(["linux/arm64/v8", "linux/arm/v7"], "linux", "s390x"),
    ],
    [
      "linux/amd64",
      "linux/amd64",
      "linux/amd64/v3",
      "linux/arm/v7",
      "linux/arm/v6",
      "linux/arm64/v8",
      "linux/riscv64/v2",
      "PullError: it is not made for linux/s390x; it has linux/arm64/v8, linux/arm/v7",
    ],
  );
});
