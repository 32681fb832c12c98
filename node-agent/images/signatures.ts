// Cosign's signatures beside an image (sigstore "Signature Specification"): the tag sha256-<hex>.sig has a layer for each, whose bytes are
// a statement about the image's digest and whose annotation is the signature over them.
import { createPublicKey, type KeyObject, verify } from "node:crypto";
import { readFile } from "node:fs/promises";
import { digestOf } from "./content.ts";
import { PullError } from "./images.ts";
import { type Descriptor, isObject } from "./manifest.ts";
import type { Access, Registry } from "./registry.ts";

const payloadBytesMax = 64 * 1024;
const signaturesMax = 50;
const signatureAnnotation = "dev.cosignproject.cosign/signature";
const payloadType = "application/vnd.dev.cosign.simplesigning.v1+json";

export interface SignatureLayer extends Descriptor {
  readonly signature: Buffer;
}

/** Rejects with PullError when the file holds no public key. */
export async function readKeys(files: readonly string[]): Promise<readonly KeyObject[]> {
  return await Promise.all(
    files.map(async (file) => {
      try {
        return createPublicKey(await readFile(file));
      } catch (cause) {
        throw new PullError("BadSignature", `signature key ${file} cannot be read: a public key in PEM is expected`, {
          cause,
        });
      }
    }),
  );
}

/** Resolves when one of the keys signed this digest; rejects with PullError otherwise. */
export async function verifySignature(
  registry: Registry,
  access: Access,
  { digest, name, keys }: { readonly digest: string; readonly name: string; readonly keys: readonly KeyObject[] },
  signal: AbortSignal,
): Promise<void> {
  const refuse = (why: string) => new PullError("BadSignature", `${name} (${digest}) is refused: ${why}`);
  const manifest = await registry.manifest(access, signatureTag(digest), signal).catch((error: unknown) => {
    if (error instanceof PullError && error.failure === "NotFound")
      throw refuse("it has no signature, and this node asks for one");
    throw error;
  });
  const signed = await isSigned(manifest.bytes, { digest, keys }, async (layer) => {
    const parts: Buffer[] = [];
    for await (const part of registry.blob(access, layer, { signal })) parts.push(part);
    return Buffer.concat(parts);
  });
  if (!signed) throw refuse("none of the keys that this node knows signed it");
}

/** The tag beside an image under which its signatures are. */
export function signatureTag(digest: string): string {
  return `${digest.replace(":", "-")}.sig`;
}

/** Whether one of the keys signed this digest, as the manifest of its signatures says. */
export async function isSigned(
  manifest: Uint8Array,
  { digest, keys }: { readonly digest: string; readonly keys: readonly KeyObject[] },
  read: (layer: SignatureLayer) => Promise<Buffer | undefined>,
): Promise<boolean> {
  for (const layer of readSignatures(manifest)) {
    const payload = await read(layer);
    if (
      payload !== undefined &&
      digestOf(payload) === layer.digest &&
      speaksOf(payload, digest) &&
      keys.some((key) => isSignedBy(key, payload, layer.signature))
    )
      return true;
  }
  return false;
}

/** What the manifest of a signature tag holds; what is no signature is left out. */
export function readSignatures(bytes: Uint8Array): readonly SignatureLayer[] {
  let body: unknown;
  try {
    body = JSON.parse(Buffer.from(bytes).toString());
  } catch {
    return [];
  }
  const layers = isObject(body) && Array.isArray(body["layers"]) ? body["layers"] : [];
  return layers.slice(0, signaturesMax).flatMap((layer: unknown): readonly SignatureLayer[] => {
    if (!isObject(layer)) return [];
    const { mediaType, digest, size, annotations } = layer;
    const signature = isObject(annotations) ? annotations[signatureAnnotation] : undefined;
    const isOne = mediaType === payloadType && typeof digest === "string" && /^sha256:[a-f0-9]{64}$/.test(digest);
    if (!isOne || typeof signature !== "string" || typeof size !== "number" || !(size > 0 && size <= payloadBytesMax))
      return [];
    return [{ mediaType, digest, sizeBytes: size, signature: Buffer.from(signature, "base64") }];
  });
}

// A good signature of another image is none of this one.
function speaksOf(payload: Buffer, digest: string): boolean {
  let body: unknown;
  try {
    body = JSON.parse(payload.toString());
  } catch {
    return false;
  }
  const critical = isObject(body) && isObject(body["critical"]) ? body["critical"] : {};
  const image = isObject(critical["image"]) ? critical["image"] : {};
  return critical["type"] === "cosign container image signature" && image["docker-manifest-digest"] === digest;
}

function isSignedBy(key: KeyObject, payload: Buffer, signature: Buffer): boolean {
  try {
    // Ed25519 hashes by itself.
    return verify(key.asymmetricKeyType === "ed25519" ? null : "sha256", payload, key, signature);
  } catch {
    return false;
  }
}
