import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { makeTestFolder } from "../test/folders.ts";
import { readRegistriesFile } from "./registries-file.ts";

const folder = makeTestFolder("registries");
after(() => rmSync(folder, { recursive: true, force: true }));

const read = async (text: string) => {
  const path = join(folder, "registries.yaml");
  writeFileSync(path, text);
  return await readRegistriesFile(path).then(
    ({ registries }) => registries,
    (error: Error) => error.message.replace(path, "F").split("\n")[0],
  );
};

test("settings of registries are read, and refused by field in readRegistriesFile", async () => {
  const whole = `registries:
  docker.io: { mirrors: [https://mirror.local, other:5000] }
  registry.local:5000:
    insecure: true
    caFile: ca.pem
    username: ann
    passwordFile: /etc/password
    signatureKeys: [cosign.pub]
  ecr.example: { credentialHelper: ecr-login }
`;
  assert.deepEqual(
    [
      await read(whole),
      await read(""),
      await read("registries: { a: { mirror: [b] } }"),
      await read("registries: { a: { insecure: 1 } }"),
      await read("registries: { a: { username: b } }"),
      await read("registries: ["),
    ],
    [
      {
        "docker.io": { mirror: ["https://mirror.local", "other:5000"] },
        "registry.local:5000": {
          ...{ insecure: true, caFile: join(folder, "ca.pem") },
          ...{ login: { username: "ann", passwordFile: "/etc/password" }, signatureKeys: [join(folder, "cosign.pub")] },
        },
        "ecr.example": { credentialHelper: "ecr-login" },
      },
      {},
      "F: registries.a.mirror is not known; there are mirrors, insecure, caFile, username, passwordFile, credentialHelper, signatureKeys",
      "F: registries.a.insecure must be a boolean",
      "F: registries.a: username and passwordFile belong together",
      "F: Flow sequence in block collection must be sufficiently indented and end with a ] at line 1, column 14:",
    ],
  );
});
