// What a node is told of a registry: mirrors, logins, helpers, signatures.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { generateKeyPairSync, sign } from "node:crypto";
import { chmodSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { realClock } from "../../lib/clock.ts";
import { silentLogger } from "../../lib/log.ts";
import { realRandom, seededRandom } from "../../lib/random.ts";
import { makeTestFolder } from "../../test/folders.ts";
import {
  digestOf,
  gzipLayer,
  json,
  makeImage,
  makeTar,
  pushImage,
  pushManifest,
  startRegistry,
  type TestImage,
  type TestRegistry,
} from "../../test/registry.ts";
import type { PullError } from "./images.ts";
import { openImages } from "./open-images.ts";
import { clusterRegistry, parseReference } from "./reference.ts";
import type { RegistrySettings } from "./registry.ts";

execFileSync(new URL("./build.sh", import.meta.url).pathname);
const folder = makeTestFolder("settings");
// ann's "secret", as htpasswd -B writes it.
const bcryptOfSecret = "$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a";
let registry: TestRegistry;
let locked: TestRegistry;
let next = 0;
before(async () => {
  registry = await startRegistry();
  writeFileSync(join(folder, "htpasswd"), `ann:${bcryptOfSecret}\n`);
  locked = await startRegistry({ auth: `auth: {htpasswd: {realm: naru, path: ${join(folder, "htpasswd")}}}` });
});
after(async () => {
  await registry[Symbol.asyncDispose]();
  await locked[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

async function pull(reference: string, registries: Readonly<Record<string, RegistrySettings>>): Promise<string> {
  const dir = join(folder, String(next++));
  await using images = await openImages({
    dir,
    clock: realClock,
    random: seededRandom(1),
    log: silentLogger,
    registries,
  });
  return await images.pull(reference, { credentials: [] }).then(
    () => "pulled",
    (error: PullError) =>
      `${error.failure}: ${error.message.replaceAll(registry.host, "R").replace(/sha256:\w{64}/g, "D")}`,
  );
}

const imageOf = async (name: string) => makeImage([gzipLayer(await makeTar([{ name, content: name }]))]);

test("a registry's own login or helper is used when a pull brings none", async () => {
  const authorization = `Basic ${Buffer.from("ann:secret").toString("base64")}`;
  await pushImage(locked, "a", { image: await imageOf("a"), tag: "1", headers: { authorization } });
  writeFileSync(join(folder, "password"), "secret\n");
  const helper = join(folder, "docker-credential-test");
  writeFileSync(helper, '#!/bin/sh\nread server; echo "{\\"Username\\":\\"ann\\",\\"Secret\\":\\"secret\\"}"\n');
  chmodSync(helper, 0o755);
  const path = process.env["PATH"];
  process.env["PATH"] = `${folder}:${path}`;
  const reference = `${locked.host}/a:1`;
  const results = [
    await pull(reference, { [locked.host]: { login: { username: "ann", passwordFile: join(folder, "password") } } }),
    await pull(reference, { [locked.host]: { credentialHelper: "test" } }),
    (await pull(reference, {})).split(":")[0],
    (await pull(reference, { [locked.host]: { credentialHelper: "none" } })).replace(locked.host, "L"),
    (await pull(reference, { [locked.host]: { credentialHelper: "../x" } })).replace(locked.host, "L"),
  ];
  process.env["PATH"] = path;
  assert.deepEqual(results, [
    "pulled",
    "pulled",
    "Denied",
    "Denied: credentials for L cannot be had: docker-credential-none cannot be run: install it",
    'Denied: credentials for L cannot be had: credential helper "../x" is no program\'s name',
  ]);
});

test("an image is taken when one of the keys signed its digest, and refused otherwise", async () => {
  const [ours, theirs] = [generateKeyPairSync("ec", { namedCurve: "P-256" }), generateKeyPairSync("ed25519")];
  const keyFile = (name: string, { publicKey }: typeof ours) => {
    const file = join(folder, name);
    writeFileSync(file, publicKey.export({ type: "spki", format: "pem" }));
    return file;
  };
  const [ourFile, theirFile] = [keyFile("ours.pub", ours), keyFile("theirs.pub", theirs)];
  const [signed, unsigned, copied] = [await imageOf("signed"), await imageOf("unsigned"), await imageOf("copied")];
  for (const [name, image] of Object.entries({ signed, unsigned, copied }))
    await pushImage(registry, `sig/${name}`, { image, tag: "1" });
  const digest = digestOf(signed.manifest);
  const payload = json({
    critical: {
      identity: { "docker-reference": `${registry.host}/sig/signed` },
      image: { "docker-manifest-digest": digest },
      type: "cosign container image signature",
    },
    optional: null,
  });
  const signature = sign("sha256", payload, ours.privateKey).toString("base64");
  const layer = { tar: payload, blob: payload, mediaType: "application/vnd.dev.cosign.simplesigning.v1+json" };
  // The same signature beside another image says nothing of that one.
  for (const [name, of] of [
    ["signed", digest],
    ["copied", digestOf(copied.manifest)],
  ] as const) {
    const manifest = JSON.parse(makeImage([layer]).manifest.toString());
    manifest.layers[0].annotations = { "dev.cosignproject.cosign/signature": signature };
    await pushImage(registry, `sig/${name}`, { image: makeImage([layer]), tag: "blobs" });
    const bytes = json(manifest);
    await pushManifest(registry, `sig/${name}`, {
      ...{ bytes, mediaType: "application/vnd.oci.image.manifest.v1+json", tag: `${of.replace(":", "-")}.sig` },
    });
  }
  const pullWith = (name: string, ...keys: readonly string[]) =>
    pull(`${registry.host}/sig/${name}:1`, { [registry.host]: { signatureKeys: keys } });
  assert.deepEqual(
    [
      await pullWith("signed", theirFile, ourFile),
      await pullWith("signed", theirFile),
      await pullWith("unsigned", ourFile),
      await pullWith("copied", ourFile),
      await pullWith("signed", join(folder, "htpasswd")),
    ],
    [
      "pulled",
      "BadSignature: R/sig/signed:1 (D) is refused: none of the keys that this node knows signed it",
      "BadSignature: R/sig/unsigned:1 (D) is refused: it has no signature, and this node asks for one",
      "BadSignature: R/sig/copied:1 (D) is refused: none of the keys that this node knows signed it",
      `BadSignature: signature key ${join(folder, "htpasswd")} cannot be read: a public key in PEM is expected`,
    ],
  );
});

test("what is pushed to the cluster's registry becomes an image once it is signed, when the node asks for that put", async () => {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  const file = join(folder, "pushed.pub");
  writeFileSync(file, publicKey.export({ type: "spki", format: "pem" }));
  await using images = await openImages({
    ...{ dir: join(folder, "signed-pushes"), clock: realClock, random: realRandom(), log: silentLogger },
    registries: { [clusterRegistry]: { signatureKeys: [file] } },
  });
  const put = async (repository: string, image: TestImage, tag: string) => {
    for (const [i, bytes] of [image.config, ...image.layers.map(({ blob }) => blob)].entries()) {
      const path = join(folder, `blob-${tag}-${i}`);
      writeFileSync(path, bytes);
      await images.pushed.takeBlob(path, digestOf(bytes));
    }
    const reference = parseReference(`${clusterRegistry}/${repository}:${tag}`);
    await images.pushed.put({ reference, contentType: image.mediaType, bytes: image.manifest });
  };
  const signatureOf = (digest: string, key: typeof privateKey): TestImage => {
    const payload = json({
      critical: { image: { "docker-manifest-digest": digest }, type: "cosign container image signature" },
    });
    const image = makeImage([
      { tar: payload, blob: payload, mediaType: "application/vnd.dev.cosign.simplesigning.v1+json" },
    ]);
    const manifest = JSON.parse(image.manifest.toString());
    const signature = sign(null, payload, key).toString("base64");
    manifest.layers[0].annotations = { "dev.cosignproject.cosign/signature": signature };
    return { ...image, manifest: json(manifest) };
  };
  const name = `${clusterRegistry}/team/app:1`;
  const told = async () =>
    (await images.find(name))?.id ?? (await images.pull(name, { credentials: [] }).catch(String));
  const image = await imageOf("pushed");
  const tag = `${digestOf(image.manifest).replace(":", "-")}.sig`;
  await put("team/app", image, "1");
  const unsigned = await told();
  await put("team/app", signatureOf(digestOf(image.manifest), generateKeyPairSync("ed25519").privateKey), tag);
  const stranger = await told();
  await put("team/app", signatureOf(digestOf(image.manifest), privateKey), tag);
  const signed = await told();
  const other = await imageOf("another");
  await put("team/app", other, "1");
  const refusal = `PullError: ${name} was pushed to this node, which asks for a signature: none of the keys that it knows signed it`;
  assert.deepEqual(
    { unsigned, stranger, signed, taken: await told(), pushed: images.pushed.find(parseReference(name))?.digest },
    {
      unsigned: refusal,
      stranger: refusal,
      signed: digestOf(image.config),
      taken: digestOf(image.config),
      pushed: undefined,
    },
  );
});
