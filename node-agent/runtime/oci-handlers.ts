// The runtimes of a node by the names that RuntimeClasses know them by: the built-in one, and OCI runtimes of the machine. What an OCI
// runtime can is asked of itself. Pure.
import { builtInHandler, type OciProgram } from "./oci-programs.ts";
import type { RuntimeHandler } from "./runtime.ts";

const ownFeatures: RuntimeHandler["features"] = { recursiveReadOnlyMounts: true, userNamespaces: true };

export const builtInHandlers: readonly RuntimeHandler[] = [
  { name: "", features: ownFeatures },
  { name: builtInHandler, features: ownFeatures },
];

/** Absent or "": the built-in one. Throws as a CRI runtime does for a name that none has, or that only a refused program has. */
export function checkHandler(
  name: string | undefined,
  handlers: readonly RuntimeHandler[],
  programs: readonly OciProgram[] = [],
): void {
  if (handlers.some((handler) => handler.name === (name ?? ""))) return;
  const { refused } = programs.find(({ handler }) => handler === name) ?? {};
  if (refused !== undefined)
    throw new Error(`failed to get sandbox runtime: runtime ${JSON.stringify(name)} is not used: ${refused}`);
  const known = handlers.flatMap((handler) => (handler.name === "" ? [] : [handler.name])).join(", ");
  throw new Error(
    `failed to get sandbox runtime: no runtime for ${JSON.stringify(name)} is configured, this node has ${known}`,
  );
}

/**
 * What `features` of an OCI runtime prints (OCI runtime specification, features.md); undefined for one that is too old to have it.
 * Read-only mounts in depth, and those with mapped users, are made before it is called, so that they need nothing of it.
 */
export function featuresOf(printed: string | undefined): RuntimeHandler["features"] {
  const namespaces = printed === undefined ? undefined : namespacesOf(printed);
  return { recursiveReadOnlyMounts: true, userNamespaces: namespaces?.includes("user") ?? false };
}

function namespacesOf(printed: string): readonly unknown[] | undefined {
  try {
    const { linux } = JSON.parse(printed) as { readonly linux?: { readonly namespaces?: unknown } };
    return Array.isArray(linux?.namespaces) ? linux.namespaces : undefined;
  } catch {
    return undefined;
  }
}
