// What is wrong with a kubeconfig is said by its name.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { readKubeconfig } from "./kubeconfig.ts";

const whole = `
current-context: one
contexts: [{ name: one, context: { cluster: c, user: u, namespace: shop } }]
clusters: [{ name: c, cluster: { server: "https://10.0.0.1:6443" } }]
users: [{ name: u, user: { token: secret } }]
`;

test("the connection of the current context, or what the file lacks, readKubeconfig", async () => {
  const folder = mkdtempSync(join(tmpdir(), "naru-kubeconfig-"));
  const path = join(folder, "config");
  const read = async (text: string) => {
    writeFileSync(path, text);
    return await readKubeconfig(path).catch((error: Error) => error.message.replaceAll(path, "FILE"));
  };
  try {
    assert.deepEqual(
      [
        await read(whole),
        await read(whole.replace("current-context: one", "")),
        await read(whole.replace("current-context: one", "current-context: two")),
        await read(whole.replace("name: u,", "name: v,")),
        await read("root:x:0:0"),
        await readKubeconfig(join(folder, "absent")).catch((error: Error) =>
          error.message.replaceAll(folder, "FOLDER"),
        ),
      ],
      [
        { server: "https://10.0.0.1:6443", namespace: "shop", token: "secret" },
        "kubeconfig FILE names no current-context",
        'kubeconfig FILE has no context "two"',
        'kubeconfig FILE has no user "u"',
        "FILE is no kubeconfig",
        "kubeconfig FOLDER/absent: there is no such file",
      ],
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
});
