// What the fields of a service fill in, before it is made into objects.
import type { Container, EnvVar, PodSpec, SecurityContext, Volume, VolumeMount } from "../api/kinds/generated/types.ts";
import type { Dependency } from "../api/kinds/start-order.ts";
import type { Variables } from "./interpolate.ts";
import type { Place } from "./nodes.ts";

export type Writable<T> = { -readonly [K in keyof T]: T[K] };

export interface Port {
  readonly target: number;
  /** Undefined: only other services reach it. */
  readonly published?: number;
  readonly protocol: "TCP" | "UDP" | "SCTP";
  readonly place: Place;
}

/** "always" is what long-running services have; the others end. */
export type Restart = "always" | "on-failure" | "no";

/** Replicas anywhere or one on each node, for ever or until they have ended well. */
export type Mode = "replicated" | "global" | "replicated-job";

export interface ServiceDraft {
  readonly name: string;
  readonly place: Place;
  readonly project: ProjectParts;
  readonly container: Writable<Container>;
  readonly pod: Writable<PodSpec>;
  readonly security: Writable<SecurityContext>;
  /** By name, as later ones win; `environment` wins over what comes from files. */
  readonly env: Map<string, EnvVar>;
  readonly fileEnv: Map<string, EnvVar>;
  readonly labels: Record<string, string>;
  readonly annotations: Record<string, string>;
  readonly volumes: Writable<Volume>[];
  readonly mounts: VolumeMount[];
  readonly ports: Port[];
  /** Further names, of this service or, with links, of others. */
  readonly aliases: { readonly name: string; readonly service: string; readonly place: Place }[];
  readonly dependsOn: Dependency[];
  readonly limits: Record<string, string>;
  readonly requests: Record<string, string>;
  readonly update: { parallelism?: number; startFirst?: boolean; failureSeconds?: number; monitorSeconds?: number };
  readonly build: { plan?: BuildPlan; always?: boolean };
  replicas: number;
  restart: Restart;
  mode: Mode;
  /** How often what has failed is started again, and where that is said. */
  retries?: { readonly count: number; readonly place: Place };
}

/** How an image is built, read from a service's `build`. */
export interface BuildPlan {
  /** A folder. */
  readonly context: string;
  /** Within the context. */
  readonly dockerfile?: string;
  readonly dockerfileText?: string;
  readonly target?: string;
  readonly args: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  /** By id, for RUN --mount=type=secret. */
  readonly secrets: Readonly<Record<string, string>>;
  readonly cacheFrom: readonly string[];
  readonly extraHosts: readonly string[];
  readonly tags: readonly string[];
  readonly network?: "default" | "none" | "host";
  readonly noCache: boolean;
  readonly pull: boolean;
  readonly shmBytes?: number;
}

/** What services refer to. */
export interface ProjectParts {
  readonly name: string;
  readonly directory: string;
  readonly variables: Variables;
  readonly readText: (path: string) => string | undefined;
  readonly services: ReadonlySet<string>;
  readonly volumes: ReadonlyMap<string, { readonly objectName: string }>;
  readonly configs: ReadonlyMap<string, FileSource>;
  readonly secrets: ReadonlyMap<string, FileSource>;
}

/** A config or a secret of the file's top level. */
export interface FileSource {
  readonly objectName: string;
  /** Undefined for what others make (external). */
  readonly content?: string;
}

export function newDraft(name: string, place: Place, project: ProjectParts): ServiceDraft {
  return {
    name,
    place,
    project,
    container: { name: objectName(name) },
    pod: { containers: [], enableServiceLinks: false },
    security: {},
    env: new Map(),
    fileEnv: new Map(),
    labels: {},
    annotations: {},
    volumes: [],
    mounts: [],
    ports: [],
    aliases: [],
    dependsOn: [],
    limits: {},
    requests: {},
    update: {},
    build: {},
    replicas: 1,
    restart: "always",
    mode: "replicated",
  };
}

/** A Compose name as the name of an object: small letters, digits and "-". */
export function objectName(name: string): string {
  return name
    .toLowerCase()
    .replace(/[^a-z0-9-]+/g, "-")
    .replace(/^-+|-+$/g, "")
    .slice(0, 63);
}
