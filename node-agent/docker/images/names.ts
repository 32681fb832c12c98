// Image names as Docker shows them: without the registry and folder that are meant anyway. Pure.

/** "docker.io/library/nginx:1" is "nginx:1", "docker.io/grafana/loki" is "grafana/loki". */
export function familiarName(name: string): string {
  return name.replace(/^docker\.io\//, "").replace(/^library\/(?=[^/]+$)/, "");
}

/** What names a repository, as the API's clients split it: a tag, a digest, or neither. */
export function joinReference(repository: string, tag: string): string {
  if (tag === "") return repository;
  return tag.includes(":") ? `${repository}@${tag}` : `${repository}:${tag}`;
}

/** "reference" filters: a path pattern with * and ?, of the whole name or of the name without tag. */
export function matchesReference(pattern: string, name: string): boolean {
  const familiar = familiarName(name);
  const candidates = [familiar, familiar.replace(/(?::[^/:]+|@.+)$/, ""), name];
  const glob = pattern
    .replace(/[.+^${}()|\\]/g, "\\$&")
    .replaceAll("*", "[^/]*")
    .replaceAll("?", "[^/]");
  return candidates.some((candidate) => new RegExp(`^${glob}$`).test(candidate));
}

/** "registry.example:5000/web" asks that registry for "web"; a word alone, or a folder of Docker Hub's, asks Docker Hub (""). */
export function splitSearchTerm(text: string): { readonly registry: string; readonly term: string } {
  const [, registry = "", rest = text] = /^([^/]*[.:][^/]*|localhost)\/(.+)$/.exec(text) ?? [];
  const isHub = ["docker.io", "index.docker.io"].includes(registry);
  return { registry: isHub ? "" : registry, term: rest.replace(/^library\//, "") };
}
