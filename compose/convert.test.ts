// biome-ignore-all lint/suspicious/noTemplateCurlyInString: they are Compose's
// Whole Compose files become the objects beside them (REWRITE=1 writes those anew), and what is wrong is named with its place.
import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { stringify } from "yaml";
import type { Deployment, Service } from "../api/kinds/generated/types.ts";
import { type Conversion, convertCompose } from "./convert.ts";
import { type LoadOptions, loadCompose } from "./load.ts";

const folder = new URL("./testdata/", import.meta.url).pathname;

function convert(files: Readonly<Record<string, string>>, options: Partial<LoadOptions> = {}): Conversion {
  const readText = (path: string) => files[path];
  const main = Object.keys(files).filter((path) => /^\/p\/compose[^/]*\.yaml$/.test(path));
  return convertCompose(loadCompose(main, { readText, variables: {}, profiles: [], ...options }), { readText });
}

function findings(text: string): readonly string[] {
  return convert({ "/p/compose.yaml": text }).findings.map(
    ({ severity, place, message }) => `${severity} ${place.line}:${place.column} ${message}`,
  );
}

for (const file of readdirSync(folder).filter((name) => name.endsWith(".compose.yaml"))) {
  test(`convertCompose makes the objects of ${file}`, () => {
    const { objects, builds, findings } = convert({
      "/p/compose.yaml": readFileSync(`${folder}${file}`, "utf8"),
      "/p/password.txt": "hunter2\n",
    });
    const notices = findings.map(
      ({ severity, place, message }) => `${severity} ${place.line}:${place.column} ${message}`,
    );
    const made = [{ notices, builds: builds.map(({ service, image }) => ({ service, image })) }, ...objects];
    const text = made.map((one) => stringify(one, { lineWidth: 0, aliasDuplicateObjects: false })).join("---\n");
    const expected = `${folder}${file.replace(".compose.yaml", ".objects.yaml")}`;
    if (process.env["REWRITE"] === "1") writeFileSync(expected, text);
    assert.equal(text, readFileSync(expected, "utf8"));
  });
}

test("convertCompose names what it does not know, with its place and what was meant", () => {
  assert.deepEqual(
    findings("services:\n  web:\n    image: nginx\n    comand: x\n    x-mine: 1\n    ulimits: { nofile: 5 }\n"),
    [
      "error 4:5 services.web has no key comand: did you mean command?",
      "notice 6:14 ulimits is left out: limits of processes are the node's",
    ],
  );
});

test("convertCompose gives aliases, links and container names as further names, each of one service", () => {
  const { objects, findings } = convert({
    "/p/compose.yaml": `services:
  web:
    image: nginx
    container_name: shop-web
    networks: { front: { aliases: [www, db, Bad_Name] } }
    links: ["db:database", "db"]
  db:
    image: nginx
    networks: { front: { aliases: [www] } }
`,
  });
  const headless = objects.filter(({ kind }) => kind === "Service") as readonly Service[];
  assert.deepEqual(
    headless.map(({ metadata, spec }) => [metadata?.name, spec?.clusterIP, spec?.selector?.["app.kubernetes.io/name"]]),
    [
      ["web", "None", "web"],
      ["db", "None", "db"],
      ["shop-web", "None", "web"],
      ["www", "None", "web"],
      ["database", "None", "db"],
    ],
  );
  assert.deepEqual(
    findings.map(({ place, message }) => `${place.line}:${place.column} ${message}`),
    [
      "4:21 container_name: pods are named after the service, web; shop-web is its further name",
      "5:41 the name db is left out: it stands for the service db already",
      '5:45 the name Bad_Name is left out: names have small letters, digits and "-"',
      "9:36 the name www is left out: it stands for the service web already",
    ],
  );
});

test("convertCompose places services on managers and workers", () => {
  const constraint = (text: string) =>
    (
      convert({
        "/p/compose.yaml": `services: { web: { image: nginx, deploy: { placement: { constraints: ["${text}"] } } } }`,
      }).objects.find(({ kind }) => kind === "Deployment") as Deployment
    ).spec?.template.spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms[0]
      ?.matchExpressions;
  const key = "node-role.kubernetes.io/control-plane";
  assert.deepEqual(["node.role == manager", "node.role==worker", "node.role != manager"].map(constraint), [
    [{ key, operator: "Exists" }],
    [{ key, operator: "DoesNotExist" }],
    [{ key, operator: "DoesNotExist" }],
  ]);
});

test("convertCompose names wrong values, all of them at once", () => {
  assert.deepEqual(
    findings(`services:
  web:
    image: nginx
    ports: ["http"]
    tty: sometimes
    stop_grace_period: soon
    deploy: { replicas: -1, resources: { limits: { memory: lots } } }
    depends_on: [gone]
    volumes: ["data:/data"]
    healthcheck: { test: [RUN, x] }
  other: {}
`),
    [
      'error 4:13 ports takes PUBLISHED:TARGET such as "8080:80", got "http"',
      'error 5:10 tty takes true or false, got "sometimes"',
      'error 6:24 stop_grace_period takes a duration such as 1m30s, got "soon"',
      "error 7:25 deploy.replicas takes a whole number from 0 on, got -1",
      'error 7:60 memory takes a size such as 64m or 1gb, got "lots"',
      "error 8:17 depends_on: there is no service gone, or its profile is off",
      "error 9:15 volumes: there is no volume data: name it in the file's own volumes, or write ./data for a folder",
      'error 10:26 healthcheck.test begins with CMD, CMD-SHELL or NONE, got "RUN"',
      "notice 10:18 healthcheck is left out: it has no test, and what the image checks is not known here",
      "error 11:3 service other has neither image nor build",
    ],
  );
});

test("convertCompose names each option of memory, hosts and hooks that has no equivalent", () => {
  const text = `services:
  web:
    image: nginx
    tmpfs: ["/a:size=1m,rw", "/b:mode=1777,uid=5", "/c:size=50%"]
    extra_hosts: ["host.docker.internal:host-gateway", "far=10.0.0.1", "v6:[::1]", "bad"]
    post_start: [{ command: "touch /started", user: root }]
    pre_stop: [{ command: [a] }, { command: [b] }]
`;
  assert.deepEqual(findings(text), [
    "notice 4:12 tmpfs: mode=1777 is left out: memory that is mounted is writable for all",
    "notice 4:12 tmpfs: uid=5 is left out: memory that is mounted is writable for all",
    'error 4:12 tmpfs size takes a size such as 64m or 1gb, got "50%"',
    "notice 5:19 extra_hosts: host.docker.internal is left out: which node a pod runs on is not known before",
    'error 5:84 extra_hosts takes NAME=ADDRESS, got "bad"',
    "notice 6:53 user is left out: it runs as the service does",
    "error 7:34 pre_stop takes one command: put them together, such as sh -c 'one && two'",
  ]);
  const { objects } = convert({ "/p/compose.yaml": text });
  const [web] = objects.filter((object): object is Deployment => object.kind === "Deployment");
  const { lifecycle } = web?.spec?.template.spec?.containers[0] ?? {};
  assert.deepEqual(lifecycle, { postStart: { exec: { command: ["touch", "/started"] } } });
});

test("loadCompose keeps what a service needs when it is extended, and takes profiles from .env", () => {
  const { objects } = convert({
    "/p/compose.yaml": `services:
  base: { image: a, depends_on: [db] }
  web: { extends: base, depends_on: { cache: { condition: service_started } } }
  db: { image: b }
  cache: { image: c, profiles: [fast] }
`,
    "/p/.env": "COMPOSE_PROFILES=slow,fast\n",
  });
  const needs = objects.flatMap((object) => {
    if (object.kind !== "Deployment") return [];
    const { annotations } = (object as Deployment).spec?.template.metadata ?? {};
    return [[object.metadata?.name, JSON.stringify(annotations)?.match(/name[\\":]+(db|cache)/g)?.length]];
  });
  assert.deepEqual(needs, [
    ["base", 1],
    ["web", 2],
    ["db", undefined],
    ["cache", undefined],
  ]);
});

test("convertCompose refuses modes that contradict what is said beside them, or have no equivalent", () => {
  assert.deepEqual(
    findings(`services:
  a: { image: a, restart: "no", deploy: { mode: global } }
  b: { image: b, deploy: { mode: global-job } }
  c: { image: c, restart: "on-failure:x" }
`),
    [
      "error 2:3 service a: what deploy.mode global runs on each node goes on for ever: leave restart out",
      "error 3:34 deploy.mode global-job has no equivalent, as nodes come and go: replicated-job with replicas: as many as there are nodes and placement: { max_replicas_per_node: 1 } runs one on each",
      'error 4:27 restart: on-failure takes a number of tries behind it, got "on-failure:x"',
    ],
  );
});

test("loadCompose throws with file, line and column", () => {
  for (const [text, message] of [
    [
      "services:\n  web: [\n",
      "/p/compose.yaml:3:1: Flow sequence in block collection must be sufficiently indented and end with a ]",
    ],
    ["services:\n  web:\n    image: ${TAG:?which one}\n", "/p/compose.yaml:3:12: variable TAG is missing: which one"],
    [
      "services:\n  web:\n    image: ${TAG\n",
      "/p/compose.yaml:3:12: ${TAG lacks its closing brace; write $$ for a dollar sign",
    ],
    ["include: [gone.yaml]\n", "/p/gone.yaml:1:1: there is no file /p/gone.yaml"],
    [
      "services:\n  a: { extends: b }\n  b: { extends: a }\n",
      "/p/compose.yaml:2:17: services extend each other: a -> b -> a",
    ],
  ] as const)
    assert.throws(() => convert({ "/p/compose.yaml": text }), { message });
});

test("loadCompose lays files over one another, includes, extends and interpolates", () => {
  const { objects, findings } = convert(
    {
      "/p/compose.yaml": `
include: [lib/base.yaml]
services:
  web:
    extends: { file: lib/common.yaml, service: common }
    image: web:\${TAG}
    environment: [A=1, B=2]
    command: [old]
    ports: ["80:80"]
`,
      "/p/compose.override.yaml": `
services:
  web:
    environment: { B: "3" }
    command: [new]
    ports: !override ["81:80"]
    labels: !reset null
`,
      "/p/lib/base.yaml": "services: { cache: { image: '${IN_LIB}:${TAG}', env_file: cache.env } }\n",
      "/p/lib/common.yaml":
        "services: { common: { image: none, labels: { a: b }, environment: { C: '${HOME_TOWN}' } } }\n",
      "/p/lib/cache.env": "SIZE=5 # a comment\nNAME='$literal'\n",
      "/p/lib/.env": "IN_LIB=redis\nTAG=8\n",
      "/p/.env": "TAG=7\n",
    },
    { variables: { HOME_TOWN: "Seoul" } },
  );
  const containers = objects.flatMap(({ kind, ...object }) => {
    const template = (object as { spec?: { template?: { spec: { containers: readonly Record<string, unknown>[] } } } })
      .spec?.template;
    return kind === "Deployment" ? (template?.spec.containers ?? []) : [];
  });
  const environment = (...pairs: readonly (readonly [string, string])[]) =>
    pairs.map(([name, value]) => ({ name, value }));
  assert.deepEqual(
    findings.filter(({ severity }) => severity === "error"),
    [],
  );
  assert.deepEqual(
    containers.map(({ name, image, args, env, ports }) => ({ name, image, args, env, ports })),
    [
      {
        name: "cache",
        image: "redis:7",
        args: undefined,
        env: environment(["SIZE", "5"], ["NAME", "$literal"]),
        ports: undefined,
      },
      {
        name: "web",
        image: "web:7",
        args: ["new"],
        env: environment(["C", "Seoul"], ["A", "1"], ["B", "3"]),
        ports: [{ containerPort: 80, protocol: "TCP" }],
      },
    ],
  );
});
