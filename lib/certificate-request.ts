// Makes PEM certificate requests (RFC 2986) with Node's own crypto: agents need nothing else of X.509, whose library takes 6 MB.
import { generateKeyPairSync, sign } from "node:crypto";

/** Who a certificate speaks for: Kubernetes reads CN as the user and each O as a group. */
export interface Subject {
  readonly commonName: string;
  readonly organizations: readonly string[];
}

// DER (X.690): tags, and the object identifiers used here as they are encoded.
const [integer, bitString, objectIdentifier, utf8String, sequence, set, attributes] = [2, 3, 6, 12, 0x30, 0x31, 0xa0];
const commonNameId = Buffer.from("550403", "hex");
const organizationId = Buffer.from("55040a", "hex");
const ecdsaWithSha256Id = Buffer.from("2a8648ce3d040302", "hex");
const shortLengthMax = 127;

/** A new ECDSA P-256 key and a request for it: what an agent sends to join. */
export function makeRequest({ commonName, organizations }: Subject): {
  readonly requestPem: string;
  readonly keyPem: string;
} {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const names = [
    ...organizations.map((organization) => nameOf(organizationId, organization)),
    nameOf(commonNameId, commonName),
  ];
  const wanted = der(
    sequence,
    der(integer, Buffer.from([0])),
    der(sequence, ...names),
    publicKey.export({ type: "spki", format: "der" }),
    der(attributes),
  );
  const signature = sign("sha256", wanted, privateKey);
  const request = der(
    sequence,
    wanted,
    der(sequence, der(objectIdentifier, ecdsaWithSha256Id)),
    // No bits of its last byte are unused.
    der(bitString, Buffer.from([0]), signature),
  );
  const lines = request.toString("base64").replace(/.{64}(?=.)/g, "$&\n");
  return {
    requestPem: `-----BEGIN CERTIFICATE REQUEST-----\n${lines}\n-----END CERTIFICATE REQUEST-----\n`,
    keyPem: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
  };
}

function nameOf(id: Buffer, value: string): Buffer {
  return der(set, der(sequence, der(objectIdentifier, id), der(utf8String, Buffer.from(value))));
}

function der(tag: number, ...contents: readonly Buffer[]): Buffer {
  const content = Buffer.concat(contents);
  if (content.length <= shortLengthMax) return Buffer.concat([Buffer.from([tag, content.length]), content]);
  const hex = content.length.toString(16);
  const length = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, "hex");
  return Buffer.concat([Buffer.from([tag, 0x80 | length.length]), length, content]);
}
