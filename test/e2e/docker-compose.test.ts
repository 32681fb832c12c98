// Compose of old (docker-compose 1.29, Debian's) and Python's docker library on which it stands, on a node's docker socket.
import { deepEqual, equal } from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { makeTestFolder } from "../folders.ts";
import { debianTree } from "../tools.ts";
import { type Output, runProgram } from "./cluster.ts";
import { type DockerEngine, startDocker } from "./docker-engine.ts";

let engine: DockerEngine;
let tree: string;
const folder = makeTestFolder("docker-compose");

before(async () => {
  tree = await debianTree("docker-compose", ["docker-compose"]);
  engine = await startDocker();
  mkdirSync(join(folder, "web"));
  writeFileSync(
    join(folder, "web", "Dockerfile"),
    "FROM busybox\nARG GREETING\nRUN mkdir /www && echo $GREETING > /www/index.html\n",
  );
  writeFileSync(join(folder, ".env"), "WHO=you\n");
  writeFileSync(join(folder, "docker-compose.yml"), file);
});
after(() => engine[Symbol.asyncDispose]());

const file = `
version: "2.4"
services:
  web:
    build: {context: web, args: {GREETING: "hello \${WHO}"}}
    command: httpd -f -h /www
    ports: ["18310:80"]
    networks: {front: {aliases: [page]}, back: {}}
    healthcheck: {test: ["CMD", "true"], interval: 100ms}
    restart: unless-stopped
    mem_limit: 32m
  asker:
    image: busybox
    command: sh -c "printf 'GET / HTTP/1.0\\\\r\\\\n\\\\r\\\\n' | nc -w 3 page 80 | tail -n 1 | tee /kept/answer; sleep 1000"
    depends_on: {web: {condition: service_healthy}}
    networks: [front]
    volumes: ["answers:/kept", "./web:/context:ro"]
    environment: {COLOUR: red}
    stop_grace_period: 1s
  apart:
    image: busybox
    command: sleep 1000
    network_mode: none
    init: true
    read_only: true
    tmpfs: [/scratch]
    stop_signal: SIGKILL
networks: {front: {}, back: {internal: true}}
volumes: {answers: {labels: {kind: answers}}}
`;

function python(args: readonly string[]): Promise<Output> {
  const env = {
    PATH: process.env["PATH"],
    HOME: folder,
    PYTHONPATH: join(tree, "usr/lib/python3/dist-packages"),
    DOCKER_HOST: `unix://${engine.socketPath}`,
    COMPOSE_PROJECT_NAME: "shop",
  };
  return runProgram("/usr/bin/python3", ["-W", "ignore", ...args], { env, cwd: folder, timeoutMs: 120_000 });
}

async function compose(...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await python([join(tree, "usr/bin/docker-compose"), ...args]);
  if (code !== 0) throw new Error(`docker-compose ${args.join(" ")}: exit ${code}\n${stdout}${stderr}`);
  return stdout.trim();
}

test("docker-compose builds, starts in order, scales, execs, shows logs, stops and takes all of it away", async () => {
  await compose("up", "-d");
  const states = await engine.ok([
    "ps",
    "--format",
    "{{.Names}} {{.State}}",
    "--filter",
    "label=com.docker.compose.project=shop",
  ]);
  for (let tries = 0; !(await compose("logs", "--no-color", "asker")).includes("hello you") && tries < 20; tries++);
  const seen = {
    states: states.split("\n").toSorted(),
    logs: (await compose("logs", "--no-color", "asker")).includes("hello you"),
    kept: await compose("exec", "-T", "asker", "cat", "/kept/answer"),
    variable: await compose("exec", "-T", "asker", "sh", "-c", "echo $COLOUR"),
    port: await compose("port", "web", "80"),
    run: await compose("run", "--rm", "-T", "asker", "ls", "/context"),
    // Nothing changed: the same containers stay.
    again: (await compose("up", "-d").then(() => engine.ok(["ps", "-q"]))) === (await engine.ok(["ps", "-q"])),
  };
  await compose("up", "-d", "--scale", "apart=2", "--no-recreate");
  const scaled = await engine.ok(["ps", "-q", "--filter", "label=com.docker.compose.service=apart"]);
  await compose("restart", "-t", "0", "web");
  await compose("pause", "asker");
  await compose("unpause", "asker");
  await compose("stop", "-t", "0", "apart");
  await compose("down", "-v", "--rmi", "local", "-t", "0");
  deepEqual(
    { ...seen, scaled: scaled.split("\n").length, left: await left() },
    {
      states: ["shop_apart_1 running", "shop_asker_1 running", "shop_web_1 running"],
      logs: true,
      kept: "hello you",
      variable: "red",
      port: "0.0.0.0:18310",
      run: "Dockerfile",
      again: true,
      scaled: 2,
      left: ["", "bridge\nhost\nnone", "", "busybox:latest"],
    },
  );
});

async function left(): Promise<readonly string[]> {
  return [
    await engine.ok(["ps", "-aq"]),
    await engine.ok(["network", "ls", "--format", "{{.Name}}"]),
    await engine.ok(["volume", "ls", "-q"]),
    await engine.ok(["images", "--format", "{{.Repository}}:{{.Tag}}"]),
  ];
}

const script = `
import docker, io, tarfile
client = docker.from_env()
print(client.ping(), client.version()["ApiVersion"])
print(client.containers.run("busybox", "echo out", remove=True).decode().strip())
try:
    client.containers.run("busybox", ["sh", "-c", "echo bad >&2; exit 3"], remove=True)
except docker.errors.ContainerError as error:
    print(error.exit_status, error.stderr.decode().strip())
box = client.containers.run("busybox", "sleep 1000", detach=True, name="py", labels={"by": "python"}, mem_limit="32m")
code, output = box.exec_run(["sh", "-c", "echo $A; exit 4"], environment={"A": "inside"}, demux=True)
print(code, output[0].decode().strip(), output[1])
tar = io.BytesIO()
with tarfile.open(fileobj=tar, mode="w") as archive:
    info = tarfile.TarInfo("put"); info.size = 4
    archive.addfile(info, io.BytesIO(b"text"))
print(box.put_archive("/tmp", tar.getvalue()))
stream, stat = box.get_archive("/tmp/put")
print(stat["name"], stat["size"], b"text" in b"".join(stream))
socket = box.attach_socket(params={"stdin": 1, "stream": 1})
socket.close()
print(sorted(box.stats(stream=False))[:2], box.top()["Titles"][0], box.diff()[-1]["Path"])
print([one.name for one in client.containers.list(filters={"label": "by=python"})], box.wait.__name__)
image = box.commit("mine", "1")
print(image.tags, client.images.get("mine:1").id == image.id)
image, _ = client.images.build(fileobj=io.BytesIO(b"FROM busybox\\nRUN echo built > /built\\n"), tag="built:1")
print(image.tags, client.containers.run("built:1", "cat /built", remove=True).decode().strip())
network = client.networks.create("pynet", driver="bridge")
network.connect(box, aliases=["snake"]); network.disconnect(box); network.remove()
volume = client.volumes.create("pyvol"); volume.remove()
box.reload(); print(box.status); box.stop(timeout=0); box.remove(v=True)
print(client.df()["Images"] is not None, client.info()["OSType"])
try:
    client.containers.get("absent")
except docker.errors.NotFound as error:
    print(error.status_code)
client.images.remove("mine:1"); client.images.remove("built:1")
`;

test("Python's docker library does what its users do", async () => {
  writeFileSync(join(folder, "client.py"), script);
  const { code, stdout, stderr } = await python([join(folder, "client.py")]);
  equal(
    `${code} ${stdout}${stderr}`,
    [
      "0 True 1.50",
      "out",
      "3 bad",
      "4 inside None",
      "True",
      "put 4 True",
      "['blkio_stats', 'cpu_stats'] UID /tmp/put",
      "['py'] wait",
      "['mine:1'] True",
      "['built:1'] built",
      "running",
      "True linux",
      "404",
      "",
    ].join("\n"),
  );
});
