// Registries that lie, stall, redirect, break off and refuse: each is told by its reason, and the store stays as it was.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { readdirSync, rmSync, statSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { after, test } from "node:test";
import { connect } from "node:tls";
import { type Clock, realClock } from "../../lib/clock.ts";
import { silentLogger } from "../../lib/log.ts";
import { seededRandom } from "../../lib/random.ts";
import { makeTestFolder } from "../../test/folders.ts";
import { digestOf, gzipLayer, makeImage, makeTar, type TestImage } from "../../test/registry.ts";
import type { PullError } from "./images.ts";
import { openImages } from "./open-images.ts";
import { whyNoAnswer } from "./registry.ts";

execFileSync(new URL("./build.sh", import.meta.url).pathname);
const folder = makeTestFolder("hostile");
after(() => rmSync(folder, { recursive: true, force: true }));
let next = 0;
/** Long waits end whenever a registry stalls, and not before: however slow the machine is, who answers is heard. */
const stalled = new Set<() => void>();
const patientClock: Clock = {
  ...realClock,
  after: (ms, run) => {
    if (ms < 30_000) return realClock.after(ms, run);
    const end = () => {
      stalled.delete(end);
      run();
    };
    stalled.add(end);
    return { cancel: () => void stalled.delete(end) };
  },
};
const leap = () => {
  for (const end of [...stalled]) end();
};
const content = randomBytes(300_000);
const image = makeImage([gzipLayer(await makeTar([{ name: "big", content }]))]);
const [layer] = image.layers;
const blob = layer?.blob ?? Buffer.alloc(0);

interface Asked {
  readonly method: string;
  readonly path: string;
  readonly range: string | undefined;
  readonly authorization: string | undefined;
}

interface Server extends AsyncDisposable {
  readonly host: string;
  readonly asked: Asked[];
}

/** Answers as an honest registry does, but for what `answer` answers itself. */
async function serve(
  answer: (asked: Asked, response: ServerResponse, server: Server) => boolean | undefined,
  of: TestImage = image,
): Promise<Server> {
  const honest = new Map<string, { readonly bytes: Buffer; readonly type: string }>([
    ["/v2/a/manifests/1", { bytes: of.manifest, type: of.mediaType }],
    [`/v2/a/manifests/${digestOf(of.manifest)}`, { bytes: of.manifest, type: of.mediaType }],
    ...[of.config, ...of.layers.map((each) => each.blob)].map(
      (bytes) => [`/v2/a/blobs/${digestOf(bytes)}`, { bytes, type: "application/octet-stream" }] as const,
    ),
  ]);
  const listener = createServer((request: IncomingMessage, response) => {
    const { method = "", url: path = "", headers } = request;
    const asked = { method, path, range: headers.range, authorization: headers.authorization };
    server.asked.push(asked);
    if (answer(asked, response, server) === true) return;
    const found = honest.get(path);
    if (path === "/v2/") response.end("{}");
    else if (found === undefined) response.writeHead(404).end();
    else {
      const from = Number(/^bytes=(\d+)-/.exec(asked.range ?? "")?.[1] ?? 0);
      const head =
        from === 0 ? {} : { "content-range": `bytes ${from}-${found.bytes.length - 1}/${found.bytes.length}` };
      response
        .writeHead(from === 0 ? 200 : 206, { ...head, "content-type": found.type })
        .end(found.bytes.subarray(from));
    }
  });
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  const server: Server = {
    host: `127.0.0.1:${(listener.address() as AddressInfo).port}`,
    asked: [],
    [Symbol.asyncDispose]: async () => {
      listener.closeAllConnections();
      await new Promise((resolve) => listener.close(resolve));
    },
  };
  return server;
}

const open = (dir = join(folder, String(next++)), clock = patientClock) =>
  openImages({ dir, clock, random: seededRandom(1), log: silentLogger });

/** The pull's failure, and what is on the disk then. */
async function pullFrom(server: Server, credentials = [] as const): Promise<string> {
  const dir = join(folder, String(next++));
  await using images = await open(dir);
  const outcome = await images.pull(`${server.host}/a:1`, { credentials }).then(
    () => "pulled",
    (error: PullError) => `${error.failure}: ${error.message.replaceAll(server.host, "R")}`,
  );
  if (outcome === "pulled") return outcome;
  const left = ["layers", "blobs/sha256", "tmp"].flatMap((name) => readdirSync(join(dir, name)));
  return left.length === 0 && (await images.list()).length === 0 ? outcome : `${outcome}, left ${left.join(" ")}`;
}

const manifestWith = (
  change: (manifest: { config: { size: number }; layers: { size: number; digest: string }[] }) => void,
): Buffer => {
  const manifest = JSON.parse(image.manifest.toString());
  change(manifest);
  return Buffer.from(JSON.stringify(manifest));
};
const isLayer = ({ path }: Asked) => path.endsWith(digestOf(blob));

test("lies about sizes and digests are refused by pull", async () => {
  const lie = async (bytes: Buffer) => {
    await using server = await serve(({ path }, response) => {
      if (!path.includes("/manifests/")) return;
      response.writeHead(200, { "content-type": image.mediaType }).end(bytes);
      return true;
    });
    return (await pullFrom(server)).replace(/sha256:\w{64}/g, "D");
  };
  await using wrong = await serve((asked, response) => {
    if (!isLayer(asked)) return;
    response.end(randomBytes(blob.length));
    return true;
  });
  await using announced = await serve(({ path }, response) => {
    if (!path.includes("/manifests/")) return;
    response.writeHead(200, { "docker-content-digest": `sha256:${"0".repeat(64)}` }).end(image.manifest);
    return true;
  });
  assert.deepEqual(
    [
      await lie(manifestWith(({ layers: [first] }) => Object.assign(first ?? {}, { size: blob.length - 10 }))),
      await lie(manifestWith(({ layers: [first] }) => Object.assign(first ?? {}, { size: blob.length + 10 }))),
      await lie(manifestWith(({ config }) => Object.assign(config, { size: 2 ** 60 }))),
      await lie(manifestWith(({ layers: [first] }) => Object.assign(first ?? {}, { digest: "sha256:../../x" }))),
      await lie(Buffer.alloc(5 * 1024 * 1024, " ")),
      await lie(Buffer.from('{"schemaVersion":2}')),
      (await pullFrom(wrong)).replace(/sha256:\w{64}/g, "D"),
      (await pullFrom(announced)).replace(/sha256:\w{64}/g, "D"),
    ],
    [
      `WrongDigest: R sends more for D than its ${blob.length - 10} bytes`,
      `RegistryUnavailable: registry R failed reading blob D: connection ended after ${blob.length} of ${blob.length + 10} bytes`,
      "BadLayer: manifest of R/a:1 gives D the size 1152921504606847000",
      "BadLayer: manifest of R/a:1 has a digest that is not sha256: sha256:../../x",
      "RegistryUnavailable: registry R failed reading manifest 1 of R/a: answer is larger than 4194304 bytes",
      "BadLayer: manifest of R/a:1 is neither a manifest nor an index",
      "WrongDigest: layer D has digest D: the registry or the way to it is broken",
      "WrongDigest: manifest 1 of R/a should have digest D but has D: the registry or the way to it is broken",
    ],
  );
});

test("a registry that stalls before or within an answer is given up by pull", async () => {
  // Nothing else is asked meanwhile.
  const leaping = setInterval(leap, 20);
  await using silent = await serve(({ path }) => path.includes("/manifests/"));
  await using halting = await serve((asked, response) => {
    if (!isLayer(asked)) return;
    response.writeHead(asked.range === undefined ? 200 : 206, {
      "content-range": `bytes ${/\d+/.exec(asked.range ?? "")?.[0] ?? 0}-${blob.length - 1}/${blob.length}`,
    });
    response.flushHeaders();
    return true;
  });
  const told = [await pullFrom(silent), (await pullFrom(halting)).replace(/sha256:\w{64}/g, "D")];
  clearInterval(leaping);
  assert.deepEqual(
    told.map((text) =>
      text.replace(
        /(asking it(?: for a\/(?:manifests\/1|blobs\/D))?|reading blob D): R (did not answer within 30|sent nothing for 60) s$/,
        "in time",
      ),
    ),
    ["RegistryUnavailable: registry R failed in time", "RegistryUnavailable: registry R failed in time"],
  );
});

test("redirects end, never take credentials along, and never lead to other protocols, in pull", async () => {
  await using loop = await serve(({ path }, response) => {
    if (!path.includes("/manifests/")) return;
    response.writeHead(302, { location: path }).end();
    return true;
  });
  await using elsewhere = await serve(() => undefined);
  await using leading = await serve((asked, response) => {
    if (asked.authorization === undefined) {
      response.writeHead(401, { "www-authenticate": 'Basic realm="r"' }).end();
      return true;
    }
    if (!isLayer(asked)) return;
    response.writeHead(307, { location: `http://${elsewhere.host}${asked.path}` }).end();
    return true;
  });
  await using odd = await serve((asked, response) => {
    if (!isLayer(asked)) return;
    response.writeHead(302, { location: "file:///etc/passwd" }).end();
    return true;
  });
  await using images = await open();
  await images.pull(`${leading.host}/a:1`, { credentials: [{ username: "u", password: "p" }] });
  assert.deepEqual(
    [
      await pullFrom(loop),
      elsewhere.asked.map(({ authorization }) => authorization),
      leading.asked.some(({ authorization }) => authorization !== undefined),
      (await pullFrom(odd)).replace(/sha256:\w{64}/g, "D"),
    ],
    [
      "RegistryUnavailable: registry R failed asking it for a/manifests/1: R redirects more than 5 times",
      [undefined],
      true,
      "RegistryUnavailable: registry R failed asking it for a/blobs/D: R redirects to file:",
    ],
  );
});

test("too many requests are asked again when the registry says, as far as that is soon, in pull", async () => {
  const limit = (times: number, retryAfter: string) =>
    serve(({ path }, response, { asked }) => {
      if (!path.includes("/manifests/") || asked.filter((each) => each.path === path).length > times) return;
      response.writeHead(429, { "retry-after": retryAfter }).end();
      return true;
    });
  await using soon = await limit(1, "1");
  await using late = await limit(1, "3600");
  await using dated = await limit(1, new Date(Date.now() + 7_200_500).toUTCString());
  assert.deepEqual(
    [await pullFrom(soon), await pullFrom(late), (await pullFrom(dated)).replace(/for 7[12]\d\d s/, "for two hours")],
    [
      "pulled",
      "RegistryUnavailable: registry R answered 429 (too many requests: wait for 3600 s, or use credentials) for R/a/manifests/1",
      "RegistryUnavailable: registry R answered 429 (too many requests: wait for two hours, or use credentials) for R/a/manifests/1",
    ],
  );
});

test("a layer goes on where its connection broke, also after a restart, in pull", async () => {
  const half = Math.floor(blob.length / 2);
  let broken = 1;
  let isHeld = false;
  await using server = await serve((asked, response) => {
    if (!isLayer(asked)) return;
    if (broken-- <= 0) return isHeld;
    response.writeHead(200, { "content-length": String(blob.length) });
    response.write(blob.subarray(0, half), () => setTimeout(() => response.destroy(), 20));
    return true;
  });
  await using images = await open();
  await images.pull(`${server.host}/a:1`, { credentials: [] });
  const ranges = server.asked.filter(isLayer).map(({ range }) => range);
  // Given up in the middle, by who asked; the next one opens the same folder anew.
  const dir = join(folder, String(next++));
  broken = 1;
  server.asked.length = 0;
  isHeld = true;
  const first = await open(dir);
  const stop = new AbortController();
  const watching = setInterval(() => {
    const [part] = readdirSync(join(dir, "partial"));
    if (part !== undefined && statSync(join(dir, "partial", part)).size > 0) stop.abort(new Error("enough"));
  }, 5);
  const ended = await first
    .pull(`${server.host}/a:1`, { credentials: [], signal: stop.signal })
    .catch((error) => error.message);
  clearInterval(watching);
  isHeld = false;
  await first[Symbol.asyncDispose]();
  await using second = await open(dir);
  broken = 0;
  await second.pull(`${server.host}/a:1`, { credentials: [] });
  const later = server.asked.filter(isLayer).at(-1)?.range;
  assert.deepEqual(
    [ranges, ended, /^bytes=[1-9]\d+-$/.test(later ?? "")],
    [[undefined, `bytes=${half}-`], "enough", true],
  );
});

test("a registry that knows no ranges sends all again, and a part that was wrong is not gone on from, in pull", async () => {
  let broken = 1;
  await using server = await serve((asked, response) => {
    if (!isLayer(asked)) return;
    if (broken-- > 0) {
      response.writeHead(200, { "content-length": String(blob.length) });
      response.write(blob.subarray(0, 1000), () => setTimeout(() => response.destroy(), 20));
    } else response.writeHead(200).end(blob);
    return true;
  });
  let lies = 1;
  await using lying = await serve((asked, response) => {
    if (!isLayer(asked) || lies-- <= 0) return;
    response.end(randomBytes(blob.length));
    return true;
  });
  const dir = join(folder, String(next++));
  await using images = await open(dir);
  const wrong = await images.pull(`${lying.host}/a:1`, { credentials: [] }).catch((error: PullError) => error.failure);
  await images.pull(`${lying.host}/a:1`, { credentials: [] });
  assert.deepEqual([await pullFrom(server), wrong], ["pulled", "WrongDigest"]);
});

test("a registry without TLS is told with the way out whyNoAnswer", async () => {
  await using plain = await serve(() => undefined);
  const [address = "", port = ""] = plain.host.split(":");
  const socket = connect({ host: address, port: Number(port) });
  const [error] = await once(socket, "error");
  assert.equal(
    whyNoAnswer("reg:5000", error),
    "it speaks no TLS: plain HTTP has to be allowed for it (--insecure-registry reg:5000, where the node is started)",
  );
});
