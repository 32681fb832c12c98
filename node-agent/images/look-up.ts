// What a name stands for at its registry, without a pull: `docker manifest inspect`, and clients that ask before they pull.

import type { LookedUp } from "./library.ts";
import { manifestMediaTypeOf, parseConfig, parseManifest } from "./manifest.ts";
import { attempt, type PullContext, type PullWork, readConfig } from "./pull.ts";
import { formatReference, type Reference } from "./reference.ts";

/** Rejects with PullError, or with the signal's reason. */
export async function lookUpImage(
  context: Pick<PullContext, "registriesFor">,
  reference: Reference,
  options: Pick<PullWork, "credentials" | "signal">,
): Promise<LookedUp> {
  return await attempt(context, reference, options, async (registry, access) => {
    const { signal } = options;
    const { digest, bytes } = await registry.manifest(access, reference.digest ?? reference.tag ?? "latest", signal);
    const name = formatReference(reference);
    const manifest = parseManifest(bytes, name);
    const platforms =
      manifest.type === "index"
        ? manifest.entries.flatMap(({ platform }) => platform ?? [])
        : [parseConfig(await readConfig(registry, access, manifest.config, signal), name).platform];
    return { mediaType: manifestMediaTypeOf(bytes), digest, sizeBytes: bytes.length, platforms };
  });
}
