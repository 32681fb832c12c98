// Launchers that are killed while somebody connects to them.
import { deepEqual } from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { test } from "node:test";
import { realClock } from "../../lib/clock.ts";
import { silentLogger } from "../../lib/log.ts";
import { makeTestFolder } from "../../test/folders.ts";
import { encodeFrame, FrameReader } from "./frames.ts";
import { LauncherProcess } from "./launcher-process.ts";

/** Answers whatever is asked with "ok". */
function answer(socket: Socket): void {
  const reader = new FrameReader();
  socket.on("data", (bytes: Buffer) => {
    for (const [id = ""] of reader.push(bytes)) socket.write(encodeFrame([String(id), "ok"]));
  });
}

test("one that goes before it answered is looked for again, by one connection only LauncherProcess", async () => {
  const runDir = makeTestFolder("launcher-process");
  const open = new Set<Socket>();
  let count = 0;
  const server = createServer((socket) => {
    open.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => open.delete(socket));
    if (++count <= 3) socket.once("data", () => socket.destroy());
    else answer(socket);
  });
  server.listen(`${runDir}/launcher.sock`);
  await once(server, "listening");
  let reconnected = 0;
  const launcher = new LauncherProcess({
    ...{ runDir, containersDir: runDir, launcherPath: "/bin/true", clock: realClock, log: silentLogger },
    onContainer: () => {},
    onReconnected: () => reconnected++,
  });
  const [client, same] = await Promise.all([launcher.client(), launcher.client()]);
  const results = await client.request("hello", []);
  deepEqual(
    { same: client === same && client === (await launcher.client()), results, open: open.size, count, reconnected },
    { same: true, results: [], open: 1, count: 4, reconnected: 0 },
  );
  // What is lost later is connected anew by itself.
  for (const socket of open) socket.destroy();
  while (reconnected === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  deepEqual([open.size, count, reconnected], [1, 5, 1]);
  await launcher.close();
  while (open.size > 0) await new Promise((resolve) => setTimeout(resolve, 5));
  server.close();
  await once(server, "close");
});
