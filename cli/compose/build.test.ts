import { deepEqual } from "node:assert/strict";
import { test } from "node:test";
import { convertCompose } from "../../compose/convert.ts";
import { loadCompose } from "../../compose/load.ts";
import { buildOptions } from "./build.ts";

test("every key of build reaches the builder under its name buildOptions", () => {
  const text = `services:
  web:
    build:
      context: app
      dockerfile: Other
      args: { VERSION: "7" }
      target: prod
      labels: [a=b]
      tags: ["web:9"]
      cache_from: [old]
      extra_hosts: ["far:10.0.0.1"]
      network: none
      shm_size: 1m
      no_cache: true
`;
  const readText = (path: string) => (path === "/p/compose.yaml" ? text : undefined);
  const { builds } = convertCompose(loadCompose(["/p/compose.yaml"], { readText, variables: {}, profiles: [] }), {
    readText,
  });
  deepEqual(
    builds.map((build) => buildOptions(build, { noCache: false, pull: true })),
    [
      {
        buildArgs: { VERSION: "7" },
        cacheFrom: ["old"],
        extraHosts: ["far:10.0.0.1"],
        labels: { a: "b" },
        network: "none",
        noCache: true,
        pull: true,
        shmBytes: 1024 * 1024,
        tags: ["naru.local/p-web:latest", "naru.local/p-web", "web:9"],
        target: "prod",
      },
    ],
  );
});
