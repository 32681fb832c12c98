// Decides whether a user may do what a request wants, and says so in Kubernetes' words. Pure.
import type { User } from "../authentication/user.ts";
import { ApiError } from "../kinds/status.ts";
import type { Attributes, PathAttributes, ResourceAttributes } from "./attributes.ts";
import { type Role, type Rule, roles } from "./roles.ts";

/** The role that allows it; undefined when none does. */
export function allowedBy(user: User, wanted: Attributes, among: readonly Role[] = roles): Role | undefined {
  return among.find((role) => isMember(role, user) && role.rules.some((rule) => allows(rule, wanted)));
}

/** All that a user may do, role by role. */
export function rulesOf(user: User, among: readonly Role[] = roles): readonly Rule[] {
  return among.filter((role) => isMember(role, user)).flatMap(({ rules }) => rules);
}

/** Throws Forbidden when no role allows it. */
export function authorize(user: User, wanted: Attributes): void {
  if (allowedBy(user, wanted) !== undefined) return;
  throw wanted.type === "path" ? forbiddenPath(user, wanted) : forbiddenResource(user, wanted);
}

function isMember({ members }: Role, user: User): boolean {
  return members.users.includes(user.name) || user.groups.some((group) => members.groups.includes(group));
}

function allows(rule: Rule, wanted: Attributes): boolean {
  if (!has(rule.verbs, wanted.verb)) return false;
  if ("paths" in rule) return wanted.type === "path" && rule.paths.some((path) => covers(path, wanted.path));
  if (wanted.type === "path") return false;
  return has(rule.groups, wanted.group) && has(rule.resources, resourceText(wanted));
}

function has(list: readonly string[], value: string): boolean {
  return list.includes("*") || list.includes(value);
}

function covers(pattern: string, path: string): boolean {
  return pattern.endsWith("*") ? path.startsWith(pattern.slice(0, -1)) : path === pattern;
}

function resourceText({ resource, subresource }: ResourceAttributes): string {
  return subresource === "" ? resource : `${resource}/${subresource}`;
}

function forbiddenPath(user: User, { verb, path }: PathAttributes): ApiError {
  return new ApiError("Forbidden", `forbidden: User "${user.name}" cannot ${verb} path "${path}"`, { details: {} });
}

function forbiddenResource(user: User, wanted: ResourceAttributes): ApiError {
  const { group, resource, name, namespace, verb } = wanted;
  const subject = `${group === "" ? resource : `${resource}.${group}`}${name === "" ? "" : ` "${name}"`}`;
  const scope = namespace === "" ? "at the cluster scope" : `in the namespace "${namespace}"`;
  return new ApiError(
    "Forbidden",
    `${subject} is forbidden: User "${user.name}" cannot ${verb} resource "${resourceText(wanted)}" in API group "${group}" ${scope}`,
    { details: { ...(name === "" ? {} : { name }), ...(group === "" ? {} : { group }), kind: resource } },
  );
}
