// The hello image: the same bytes each time, and a program that answers and ends as its words say.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { parseAllDocuments } from "yaml";
import { freePort } from "../../../test/registry.ts";
import { buildHelloImage } from "./build.ts";

const folder = new URL("./", import.meta.url).pathname;

test("buildHelloImage makes the same archive again", async () => {
  assert.equal(Buffer.compare(await buildHelloImage(), await buildHelloImage()), 0);
});

test("hello answers with pod, node and greeting, is healthy, and ends on SIGTERM", async () => {
  await buildHelloImage();
  const port = await freePort();
  const env = { PORT: String(port), POD_NAME: "p-1", NODE_NAME: "n-1", GREETING: "Welcome." };
  const hello = spawn(`${folder}build/hello`, { env, stdio: ["ignore", "pipe", "inherit"] });
  const ended = once(hello, "exit");
  try {
    await once(hello.stdout, "data");
    const get = async (path: string, init: RequestInit = {}) => {
      const response = await fetch(`http://127.0.0.1:${port}${path}`, init);
      return [response.status, await response.text()];
    };
    assert.deepEqual(
      [
        await get("/"),
        await get("/healthz"),
        await get("/metrics"),
        await get("/", { method: "HEAD" }),
        await get("/", { method: "POST", body: "x" }),
        await get("/", { headers: { "x-long": "x".repeat(9000) } }).then(
          ([status]) => status,
          () => 431,
        ),
      ],
      [
        [200, "Hello from pod p-1 on node n-1\nWelcome.\n"],
        [200, "ok\n"],
        [
          200,
          "# HELP hello_greetings_total Greetings that were answered.\n# TYPE hello_greetings_total counter\nhello_greetings_total 1\n",
        ],
        [200, ""],
        [405, "only GET and HEAD\n"],
        431,
      ],
    );
  } finally {
    hello.kill("SIGTERM");
  }
  assert.deepEqual(await ended, [0, null]);
});

test("hello.yaml names the image that buildHelloImage makes", async () => {
  const documents = parseAllDocuments(await readFile(`${folder}../hello.yaml`, "utf8")).map((document) =>
    document.toJS(),
  );
  assert.deepEqual(
    documents.map((document) => [document.kind, document.spec?.template?.spec.containers[0].image]),
    [
      ["ConfigMap", undefined],
      ["Deployment", "naru.local/hello:1"],
      ["Service", undefined],
    ],
  );
});
