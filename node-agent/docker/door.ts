// What the endpoints work on.
import type { Builder } from "../build/build.ts";
import type { Containers } from "./containers/containers.ts";
import type { DockerParts } from "./containers/parts.ts";
import type { Machine } from "./machine.ts";

export interface Door {
  readonly parts: DockerParts;
  readonly containers: Containers;
  readonly builder: Builder;
  readonly machine: Machine;
}
