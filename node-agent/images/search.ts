// Names of images by a word: Docker Hub's search and registries that answer the same (v1/search), else the list of all repositories
// where a registry gives it (distribution spec, "_catalog").
import { drop, type HttpResponse, readBody } from "./http.ts";
import { PullError, type RegistryCredentials } from "./images.ts";
import type { FoundImage } from "./library.ts";
import { isObject } from "./manifest.ts";
import type { Registry } from "./registry.ts";

const answerBytesMax = 8 * 1024 * 1024;
const pageMax = 1_000;
const pagesMax = 20;

export interface SearchRequest {
  readonly host: string;
  readonly term: string;
  readonly limit: number;
  readonly credentials: RegistryCredentials | undefined;
}

/** Rejects with PullError("NotFound") when the registry offers no search. */
export async function searchRegistry(
  registry: Registry,
  { host, term, limit, credentials }: SearchRequest,
  signal: AbortSignal,
): Promise<readonly FoundImage[]> {
  const access = { repository: "", credentials };
  const base = host === "docker.io" ? new URL("https://index.docker.io/") : await registry.base(signal);
  const searching = new URL("v1/search", base);
  searching.search = String(new URLSearchParams({ q: term, n: String(limit) }));
  const found = await registry.ask(access, { method: "GET", path: searching, headers: {} }, signal);
  if (found.status === 200) return readResults(await readJson(found)).slice(0, limit);
  drop(found);
  const names: FoundImage[] = [];
  let page: URL | undefined = new URL(`v2/_catalog?n=${pageMax}`, base);
  for (let pages = 0; page !== undefined && pages < pagesMax && names.length < limit; pages++) {
    const listed = await registry.ask(access, { method: "GET", path: page, headers: {} }, signal);
    if (listed.status !== 200) {
      drop(listed);
      if (listed.status === 401 || listed.status === 403)
        throw new PullError("Denied", `searching ${host} is denied (${listed.status}): log in to it`);
      throw new PullError("NotFound", `${host} offers no search (${found.status}, ${listed.status})`);
    }
    page = nextPage(listed);
    names.push(...readCatalog(await readJson(listed), term));
  }
  return names.slice(0, limit);
}

/** Where a list goes on (RFC 8288). */
export function nextPage({ headers, url }: HttpResponse): URL | undefined {
  const [, next] = /<([^>]+)>\s*;\s*rel="?next"?/.exec(headers["link"]?.toString() ?? "") ?? [];
  return next === undefined ? undefined : new URL(next, url);
}

function readResults(body: unknown): readonly FoundImage[] {
  const results = isObject(body) && Array.isArray(body["results"]) ? body["results"] : [];
  return results.filter(isObject).flatMap((result) => {
    const { name, description, star_count: stars, is_official: official } = result;
    if (typeof name !== "string") return [];
    return [
      {
        name,
        description: typeof description === "string" ? description : "",
        stars: typeof stars === "number" ? stars : 0,
        isOfficial: official === true,
      },
    ];
  });
}

function readCatalog(body: unknown, term: string): readonly FoundImage[] {
  const names = isObject(body) && Array.isArray(body["repositories"]) ? body["repositories"] : [];
  return names
    .filter((name): name is string => typeof name === "string" && name.includes(term))
    .map((name) => ({ name, description: "", stars: 0, isOfficial: false }));
}

async function readJson(response: HttpResponse): Promise<unknown> {
  const body = await readBody(response, answerBytesMax);
  try {
    return JSON.parse(body.toString());
  } catch (cause) {
    throw new PullError("RegistryUnavailable", "the registry answered a search with no JSON", { cause });
  }
}
