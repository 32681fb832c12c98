// What a name stands for at its registry, without a pull: `docker manifest inspect`, and clients that ask before they pull.

import { drop, type HttpResponse, readBody } from "./http.ts";
import { PullError } from "./images.ts";
import type { LookedUp } from "./library.ts";
import { manifestMediaTypeOf, parseConfig, parseManifest, parseObject } from "./manifest.ts";
import { attempt, type PullContext, type PullWork, readConfig } from "./pull.ts";
import { formatReference, type Reference } from "./reference.ts";
import { nextPage } from "./search.ts";

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

const pagesMax = 100;
const pageBytesMax = 4 * 1024 * 1024;

/** As the registry orders them (distribution spec, "Listing Tags"). Rejects with PullError, or with the signal's reason. */
export async function listTags(
  context: Pick<PullContext, "registriesFor">,
  reference: Reference,
  options: Pick<PullWork, "credentials" | "signal">,
): Promise<readonly string[]> {
  return await attempt(context, reference, options, async (registry, access) => {
    const what = `tags of ${registry.host}/${access.repository}`;
    const found: string[] = [];
    let page: string | URL | undefined = "tags/list";
    for (let pages = 0; page !== undefined && pages < pagesMax; pages++) {
      const response: HttpResponse = await registry.ask(
        access,
        { method: "GET", path: page, headers: {} },
        options.signal,
      );
      if (response.status !== 200) {
        drop(response);
        const failure = response.status === 404 ? "NotFound" : response.status < 404 ? "Denied" : "RegistryUnavailable";
        throw new PullError(failure, `${what}: the registry answered ${response.status}`);
      }
      const { tags } = parseObject(await readBody(response, pageBytesMax), what);
      found.push(...(Array.isArray(tags) ? tags : []).filter((tag): tag is string => typeof tag === "string"));
      page = nextPage(response);
    }
    return found;
  });
}
