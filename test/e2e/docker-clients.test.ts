// Other clients of the same socket: Debian's older docker command, and dockerode, on which Testcontainers stands.

import { deepEqual, equal, match, ok } from "node:assert/strict";
import { once } from "node:events";
import { request } from "node:http";
import { connect } from "node:http2";
import { type Duplex, PassThrough } from "node:stream";
import { after, before, test } from "node:test";
import Docker from "dockerode";
import { WebSocket } from "ws";
import { readAll } from "../../node-agent/runtime/contract.ts";
import { type DockerEngine, startDocker } from "./docker-engine.ts";

let engine: DockerEngine;
let client: Docker;
before(async () => {
  engine = await startDocker();
  client = new Docker({ socketPath: engine.socketPath });
});
after(() => engine[Symbol.asyncDispose]());

test("Debian's docker 20.10 speaks version 1.41 and does the same", async () => {
  const old = async (...args: readonly string[]) => {
    const { code, stdout, stderr } = await engine.oldDocker(args);
    return code === 0 ? stdout.trim() : `exit ${code}: ${stderr}`;
  };
  const seen = [
    await old("version", "--format", "{{.Client.APIVersion}} {{.Server.MinAPIVersion}}"),
    await old("run", "--rm", "busybox", "echo", "hello"),
    await old("run", "-d", "--name", "aged", "-p", "18101:80", "-v", "aged:/data", "busybox", "sleep", "100").then(
      (id) => id.length,
    ),
    await old("exec", "aged", "cat", "/data/hello"),
    await old("ps", "--format", "{{.Names}} {{.Image}} {{.Ports}}"),
    await old("port", "aged"),
    await old("cp", "aged:/data/hello", "-").then((tar) => tar.includes("from the image")),
    await old("inspect", "-f", "{{.NetworkSettings.Networks.bridge.Gateway}}", "aged"),
    await old("network", "create", "old-net").then((id) => id.length),
    await old("network", "rm", "old-net"),
    await old("rm", "-fv", "aged"),
  ];
  deepEqual(seen, [
    "1.41 1.24",
    "hello",
    64,
    "from the image",
    "aged busybox 0.0.0.0:18101->80/tcp",
    "80/tcp -> 0.0.0.0:18101",
    true,
    "172.17.0.1",
    64,
    "old-net",
    "aged",
  ]);
});

test("dockerode creates, starts, waits, reads logs and both streams", async () => {
  const container = await client.createContainer({
    Image: "busybox",
    Cmd: ["sh", "-c", "echo out; echo err >&2; exit 4"],
    Labels: { "org.testcontainers": "true" },
  });
  await container.start();
  const { StatusCode } = (await container.wait()) as { readonly StatusCode: number };
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const logs = (await container.logs({ follow: true, stdout: true, stderr: true })) as NodeJS.ReadableStream;
  container.modem.demuxStream(logs, stdout, stderr);
  logs.on("end", () => [stdout, stderr].map((stream) => stream.end()));
  const texts = await Promise.all([readAll(stdout), readAll(stderr)]);
  const listed = await client.listContainers({ all: true, filters: { label: ["org.testcontainers=true"] } });
  await container.remove({ v: true });
  deepEqual([StatusCode, ...texts, listed.length], [4, "out\n", "err\n", 1]);
});

test("dockerode attaches with stdin before the start, as Testcontainers does", async () => {
  const container = await client.createContainer({
    Image: "busybox",
    Cmd: ["cat"],
    OpenStdin: true,
    StdinOnce: true,
    Tty: false,
  });
  const stream = await container.attach({ stream: true, stdin: true, stdout: true, stderr: true, hijack: true });
  await container.start();
  const stdout = new PassThrough();
  container.modem.demuxStream(stream, stdout, new PassThrough());
  stream.on("end", () => stdout.end());
  stream.end("through and back\n");
  equal(await readAll(stdout), "through and back\n");
  await container.remove({ force: true });
});

test("dockerode execs, with and without a hijacked connection, and follows events", async () => {
  const events = (await client.getEvents({
    filters: { type: ["container"], event: ["exec_die"] },
  })) as NodeJS.ReadableStream;
  const first = new Promise<string>(
    (resolve) => void events.once("data", (bytes: Buffer) => resolve(bytes.toString())),
  );
  const container = await client.createContainer({
    Image: "busybox",
    Cmd: ["sleep", "100"],
    ExposedPorts: { "80/tcp": {} },
    HostConfig: { PublishAllPorts: true },
  });
  await container.start();
  const texts: string[] = [];
  for (const hijack of [false, true]) {
    const exec = await container.exec({
      Cmd: ["sh", "-c", "echo $((40 + 2)); exit 6"],
      AttachStdout: true,
      AttachStderr: true,
    });
    const stream = await exec.start({ hijack, stdin: hijack });
    const stdout = new PassThrough();
    container.modem.demuxStream(stream, stdout, new PassThrough());
    stream.on("end", () => stdout.end());
    texts.push(await readAll(stdout), String((await exec.inspect()).ExitCode));
  }
  const { NetworkSettings } = await container.inspect();
  const port = Number(NetworkSettings.Ports["80/tcp"]?.[0]?.HostPort);
  const event = JSON.parse(await first) as {
    readonly Action: string;
    readonly Actor: { readonly Attributes: Readonly<Record<string, string>> };
  };
  (events as unknown as { destroy(): void }).destroy();
  await container.remove({ force: true });
  deepEqual([...texts, event.Action, event.Actor.Attributes["exitCode"]], ["42\n", "6", "42\n", "6", "exec_die", "6"]);
  ok(port > 1024);
});

test("dockerode puts files in and takes them out", async () => {
  const container = await client.createContainer({ Image: "busybox", Cmd: ["sleep", "100"] });
  const tar = (await container.getArchive({ path: "/data/hello" })) as NodeJS.ReadableStream;
  const parts: Buffer[] = [];
  for await (const part of tar) parts.push(part as Buffer);
  await container.putArchive(Buffer.concat(parts), { path: "/tmp" });
  const back = await readAll((await container.getArchive({ path: "/tmp/hello" })) as NodeJS.ReadableStream);
  match(back, /from the image/);
  await container.remove({ force: true });
});

test("browsers attach over a WebSocket, both ways and without frames of Docker's own", async () => {
  const container = await client.createContainer({ Image: "busybox", Cmd: ["cat"], OpenStdin: true, StdinOnce: true });
  await container.start();
  const query = "stream=1&stdin=1&stdout=1";
  const socket = new WebSocket(`ws+unix:${engine.socketPath}:/v1.50/containers/${container.id}/attach/ws?${query}`);
  await once(socket, "open");
  socket.send("through a browser\n");
  const [message] = (await once(socket, "message")) as Buffer[];
  socket.close();
  await container.wait();
  await container.remove();
  equal(message?.toString(), "through a browser\n");
});

test("BuildKit's calls are answered with the way to build here", async () => {
  const socket = await new Promise<Duplex>((resolve, reject) => {
    const call = request({
      socketPath: engine.socketPath,
      method: "POST",
      path: "/grpc",
      headers: { Connection: "Upgrade", Upgrade: "h2c" },
    });
    call.on("upgrade", (_response, upgraded, head) => {
      // The engine's first frames may have come with its answer.
      upgraded.unshift(head);
      resolve(upgraded);
    });
    call.on("error", reject);
    call.end();
  });
  const session = connect("http://docker", { createConnection: () => socket });
  const stream = session.request({ ":method": "POST", ":path": "/moby.buildkit.v1.Control/ListWorkers" });
  const [headers] = (await once(stream, "response")) as Readonly<Record<string, string>>[];
  session.destroy();
  equal(headers?.["grpc-status"], "12");
  match(decodeURIComponent(headers?.["grpc-message"] ?? ""), /set DOCKER_BUILDKIT=0/);
});

test("what is refused has a status and a message, whoever asks", async () => {
  const ask = (method: string, path: string, body?: string) =>
    new Promise<string>((resolve, reject) => {
      const call = request(
        {
          socketPath: engine.socketPath,
          method,
          path,
          headers: body === undefined ? {} : { "Content-Type": "application/json" },
        },
        (response) => {
          readAll(response).then((text) => resolve(`${response.statusCode} ${text.trim()}`), reject);
        },
      );
      call.on("error", reject);
      call.end(body);
    });
  deepEqual(
    await Promise.all([
      ask("GET", "/v1.99/info"),
      ask("GET", "/v1.41/nowhere"),
      ask("PATCH", "/v1.41/info"),
      ask("GET", "/containers/absent/json"),
      ask("POST", "/containers/create", "{"),
      ask("POST", "/containers/create", '{"Image": 5}'),
      ask("POST", "/containers/create", '{"Image": "busybox", "Env": ["=x"]}'),
      ask("POST", "/containers/create", '{"Image": "busybox", "HostConfig": {"Flying": true}}'),
      ask(
        "POST",
        "/containers/create",
        '{"Image": "busybox", "HostConfig": {"Mounts": [{"Type": "npipe", "Target": "/x"}]}}',
      ),
      ask("GET", "/containers/json?filters=%7B"),
    ]),
    [
      '400 {"message":"client version 1.99 is too new. Maximum supported API version is 1.50"}',
      '404 {"message":"page not found: /nowhere"}',
      '405 {"message":"PATCH is not for /info"}',
      '404 {"message":"No such container: absent"}',
      `400 {"message":"the body is not JSON: Expected property name or '}' in JSON at position 1 (line 1 column 2)"}`,
      '400 {"message":"Image: expected a string, got number 5"}',
      '400 {"message":"invalid environment variable: \\"=x\\""}',
      '400 {"message":"HostConfig.Flying is not supported by Naru, got true"}',
      '400 {"message":"HostConfig.Mounts[0].Type: mount type \\"npipe\\" is not supported; there are bind, volume and tmpfs"}',
      `400 {"message":"the body is not JSON: Expected property name or '}' in JSON at position 1 (line 1 column 2)"}`,
    ],
  );
});
