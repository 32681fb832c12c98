// Testcontainers itself on a node's docker socket, with its reaper: an image made here stands in for the one that it pulls.
import { deepEqual, equal } from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { makeTestFolder } from "../folders.ts";
import { npmTree } from "../tools.ts";
import { runProgram } from "./cluster.ts";
import { type DockerEngine, startDocker } from "./docker-engine.ts";

let engine: DockerEngine;
let tree: string;
const folder = makeTestFolder("docker-testcontainers");
// It listens to what shall be removed and says that it heard; what is removed is the test's to see.
const reaper = `FROM busybox
RUN printf 'while read line; do echo "$line" >> /heard; echo ACK; done\\n' > /answer
CMD ["sh", "-c", "echo Started; test -S /var/run/docker.sock && while :; do nc -l -p 8080 -e sh /answer; done"]
`;

before(async () => {
  tree = await npmTree("testcontainers", "12.2.0");
  engine = await startDocker();
  mkdirSync(join(folder, "reaper"));
  writeFileSync(join(folder, "reaper", "Dockerfile"), reaper);
  mkdirSync(join(folder, "built"));
  writeFileSync(
    join(folder, "built", "Dockerfile"),
    'FROM busybox\nARG WHO\nRUN echo "hello $WHO" > /hello\nCMD ["sleep", "1000"]\n',
  );
  await engine.ok(["build", "-t", "reaper:local", join(folder, "reaper")]);
});
after(() => engine[Symbol.asyncDispose]());

const script = `
import { createRequire } from "node:module";
const { GenericContainer, Network, Wait } = createRequire(process.env.TREE + "/")("testcontainers");
const seen = {};
// Streams of logs keep no program alive.
setInterval(() => {}, 1000);
const network = await new Network().start();
const serve = "mkdir /www; cp /put /www/index.html; echo listening; httpd -f -h /www";
const web = await new GenericContainer("busybox")
  .withCommand(["sh", "-c", serve])
  .withCopyContentToContainer([{ content: "hello from a test", target: "/put" }])
  .withEnvironment({ COLOUR: "red" })
  .withTmpFs({ "/scratch": "rw" })
  .withNetwork(network)
  .withNetworkAliases("web")
  .withHealthCheck({ test: ["CMD", "true"], interval: 100, timeout: 1000, retries: 3 })
  .withExposedPorts(80)
  .withWaitStrategy(Wait.forAll([Wait.forLogMessage("listening"), Wait.forHealthCheck(), Wait.forListeningPorts()]))
  .start();
seen.page = await (await fetch("http://" + web.getHost() + ":" + web.getMappedPort(80))).text();
seen.exec = await web.exec(["sh", "-c", "echo $COLOUR; exit 3"]);
const lines = [];
(await web.logs()).on("data", (line) => lines.push(String(line)));
const asker = await new GenericContainer("busybox")
  .withNetwork(network)
  .withCommand(["sh", "-c", "wget -q -O - http://web/; echo; echo asked"])
  .withWaitStrategy(Wait.forOneShotStartup())
  .start();
seen.neighbour = await new Promise((resolve) => asker.logs().then((logs) => logs.on("data", (line) => resolve(String(line).trim()))));
await web.restart();
seen.restarted = (await web.exec(["cat", "/put"])).output;
const built = await (await GenericContainer.fromDockerfile(process.env.BUILT).withBuildArgs({ WHO: "you" }).build("made:1", { deleteOnExit: false })).start();
seen.built = (await built.exec(["cat", "/hello"])).output.trim();
const image = await web.commit({ repo: "kept", tag: "1", deleteOnExit: false });
seen.commit = image.startsWith("sha256:");
seen.lines = lines.join("").includes("listening");
const refused = await new GenericContainer("busybox").withCommand(["sh", "-c", "exit 4"]).withStartupTimeout(5000)
  .withWaitStrategy(Wait.forOneShotStartup()).start().then(() => "started", () => "refused");
seen.refused = refused;
for (const one of [asker, built, web]) await one.stop();
await network.stop();
console.log(JSON.stringify(seen));
process.exit(0);
`;

test("Testcontainers starts, waits, reaches, copies, execs, builds and stops, with its reaper", async () => {
  writeFileSync(join(folder, "use.mjs"), script);
  const env = {
    PATH: process.env["PATH"],
    HOME: folder,
    TREE: tree,
    BUILT: join(folder, "built"),
    DOCKER_HOST: `unix://${engine.socketPath}`,
    RYUK_CONTAINER_IMAGE: "reaper:local",
    // A machine that is a container itself would look for them at its bridge.
    TESTCONTAINERS_HOST_OVERRIDE: "localhost",
  };
  const { code, stdout, stderr } = await runProgram(process.execPath, [join(folder, "use.mjs")], {
    env,
    timeoutMs: 120_000,
  });
  equal(code, 0, stdout + stderr);
  const heard = await engine.ok([
    "exec",
    await engine.ok(["ps", "-q", "--filter", "ancestor=reaper:local"]),
    "cat",
    "/heard",
  ]);
  deepEqual(
    [JSON.parse(stdout), /^label=org.testcontainers.session-id=\w+/.test(heard)],
    [
      {
        page: "hello from a test",
        exec: { output: "red\n", stdout: "red\n", stderr: "", exitCode: 3 },
        neighbour: "hello from a test",
        restarted: "hello from a test",
        built: "hello you",
        commit: true,
        lines: true,
        refused: "refused",
      },
      true,
    ],
  );
  equal(
    await engine.ok(["ps", "-aq", "--filter", "label=org.testcontainers=true", "--filter", "ancestor=busybox"]),
    "",
  );
});
