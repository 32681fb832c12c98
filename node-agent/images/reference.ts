// Names of images as Docker writes them, with Docker's defaults: "nginx" means docker.io/library/nginx:latest.
// Grammar: github.com/distribution/reference, reference.go.
import { PullError } from "./images.ts";

export interface Reference {
  /** Host, perhaps with a port: "docker.io", "localhost:5000". */
  readonly registry: string;
  /** "library/nginx" */
  readonly repository: string;
  /** Absent when only a digest was given. */
  readonly tag: string | undefined;
  /** "sha256:…"; decides when there is a tag too. */
  readonly digest: string | undefined;
}

/** Images that no registry outside has: they are made, loaded or pushed in the cluster. */
export const clusterRegistry = "naru.local";
/** Names under which the cluster's own registry is reached from pods. */
const clusterRegistryHosts = [
  "registry.naru-system",
  "registry.naru-system.svc",
  "registry.naru-system.svc.cluster.local",
];

const nameBytesMax = 255;
const label = "(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])";
const registryPattern = new RegExp(`^(?:${label}(?:\\.${label})*|\\[[a-fA-F0-9:]+\\])(?::[0-9]{1,5})?$`);
const componentPattern = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const tagPattern = /^\w[\w.-]{0,127}$/;
const digestPattern = /^sha256:[a-f0-9]{64}$/;

/** Whether this is a digest that Naru can verify. */
export function isDigest(text: string): boolean {
  return digestPattern.test(text);
}

/** Parses and completes a name; throws PullError("InvalidImageName") with the part that is wrong. */
export function parseReference(text: string): Reference {
  const refuse = (why: string): never => {
    throw new PullError("InvalidImageName", `image name ${JSON.stringify(text.slice(0, 300))}: ${why}`);
  };
  if (text === "") refuse("is empty; give a name such as nginx:1.27");
  const at = text.indexOf("@");
  const digest = at < 0 ? undefined : text.slice(at + 1);
  if (digest !== undefined && !isDigest(digest)) {
    refuse(`${JSON.stringify(digest.slice(0, 100))} is not a digest; one looks like sha256: and 64 hexadecimal digits`);
  }
  const named = at < 0 ? text : text.slice(0, at);
  const colon = named.indexOf(":", named.lastIndexOf("/") + 1);
  const tag = colon < 0 ? undefined : named.slice(colon + 1);
  if (tag !== undefined && !tagPattern.test(tag)) {
    refuse(`tag ${JSON.stringify(tag)} may have letters, digits, _ . and - only, 128 at most`);
  }
  const { registry, repository } = splitName(colon < 0 ? named : named.slice(0, colon));
  if (!registryPattern.test(registry)) refuse(`${JSON.stringify(registry)} is not a registry's host`);
  for (const component of repository.split("/")) {
    if (componentPattern.test(component)) continue;
    if (component === "") refuse("has an empty part between slashes");
    if (/[A-Z]/.test(component)) refuse(`${JSON.stringify(component)} must be lower case`);
    refuse(`${JSON.stringify(component)} may have lower-case letters and digits, and . _ - between them`);
  }
  if (/^[a-f0-9]{64}$/.test(repository)) refuse("looks like an image id; a name is needed to pull");
  if (registry.length + repository.length + 1 > nameBytesMax) refuse(`is longer than ${nameBytesMax} characters`);
  return { registry, repository, tag: tag ?? (digest === undefined ? "latest" : undefined), digest };
}

/** A registry's host as users say it: "https://index.docker.io/v1/" and "" are Docker Hub. */
export function registryHost(text: string): string {
  const host = text.replace(/^https?:\/\//, "").replace(/\/.*$/, "");
  return ["", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"].includes(host) ? "docker.io" : host;
}

/** "docker.io/library/nginx" */
export function repositoryName(reference: Pick<Reference, "registry" | "repository">): string {
  return `${reference.registry}/${reference.repository}`;
}

/** "docker.io/library/nginx:1.27", or "…@sha256:…" when a digest was given. */
export function formatReference(reference: Reference): string {
  const name = repositoryName(reference);
  return reference.digest !== undefined ? `${name}@${reference.digest}` : `${name}:${reference.tag}`;
}

// A first part with a dot, a port or an upper-case letter, and "localhost", is a registry; all else is on Docker Hub.
function splitName(name: string): { registry: string; repository: string } {
  const slash = name.indexOf("/");
  const first = slash < 0 ? "" : name.slice(0, slash);
  const isRegistry = first.includes(".") || first.includes(":") || first === "localhost" || /[A-Z]/.test(first);
  const registry = isRegistry ? first : "docker.io";
  const repository = isRegistry ? name.slice(slash + 1) : name;
  if (clusterRegistryHosts.some((host) => registry === `${host}:5000`))
    return { registry: clusterRegistry, repository };
  if (registry !== "docker.io" && registry !== "index.docker.io") return { registry, repository };
  return { registry: "docker.io", repository: repository.includes("/") ? repository : `library/${repository}` };
}
