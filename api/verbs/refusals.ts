// The refusals that several verbs share, in Kubernetes' words.
import type { Resource } from "../kinds/resource.ts";
import { ApiError, type ErrorDetails } from "../kinds/status.ts";

type Named = Pick<Resource, "group" | "resource">;

/** "pods" or "deployments.apps" */
export function qualified({ group, resource }: Named): string {
  return group === "" ? resource : `${resource}.${group}`;
}

export function notFound(resource: Named, name: string): ApiError {
  return new ApiError("NotFound", `${qualified(resource)} ${quoted(name)} not found`, {
    details: details(resource, name),
  });
}

export function alreadyExists(resource: Named, name: string): ApiError {
  return new ApiError("AlreadyExists", `${qualified(resource)} ${quoted(name)} already exists`, {
    details: details(resource, name),
  });
}

export function conflict(resource: Named, name: string, why: string): ApiError {
  const message = `Operation cannot be fulfilled on ${qualified(resource)} ${quoted(name)}: ${why}`;
  return new ApiError("Conflict", message, { details: details(resource, name) });
}

/** The usual conflict: somebody else was faster. */
export function changedMeanwhile(resource: Named, name: string): ApiError {
  return conflict(
    resource,
    name,
    "the object has been modified; please apply your changes to the latest version and try again",
  );
}

export function forbidden(resource: Named, name: string, why: string): ApiError {
  return new ApiError("Forbidden", `${qualified(resource)} ${quoted(name)} is forbidden: ${why}`, {
    details: details(resource, name),
  });
}

export function details({ group, resource }: Named, name: string): ErrorDetails {
  return { name, ...(group === "" ? {} : { group }), kind: resource };
}

function quoted(name: string): string {
  return JSON.stringify(name);
}
