// A request in somebody else's name (`kubectl --as`): who it then speaks for, and whether the asker may. Pure.
// Source: Kubernetes documentation, "User Impersonation".
import {
  accountGroups,
  anonymous,
  authenticatedGroup,
  serviceAccountPrefix,
  type User,
  unauthenticatedGroup,
} from "../authentication/user.ts";
import { ApiError } from "../kinds/status.ts";
import { authorize } from "./authorize.ts";

/** `rawHeaders` are names and values in turn, as they came: a group's name may hold what joins headers of one name. */
export function impersonate(asker: User, rawHeaders: readonly string[]): User {
  const wanted = read(rawHeaders);
  if (wanted === undefined) return asker;
  const { name, groups } = wanted;
  if (asker === anonymous) throw new ApiError("Unauthorized", "Unauthorized");
  const [, namespace, account] = accountPattern.exec(name) ?? [];
  if (namespace === undefined || account === undefined) authorize(asker, impersonating("users", name));
  else authorize(asker, { ...impersonating("serviceaccounts", account), namespace });
  for (const group of groups) authorize(asker, impersonating("groups", group));
  const implied = groups.length > 0 || namespace === undefined ? [] : accountGroups(namespace);
  const everybody = name === anonymous.name ? unauthenticatedGroup : authenticatedGroup;
  return { name, groups: [...new Set([...groups, ...implied, everybody])] };
}

const accountPattern = new RegExp(`^${serviceAccountPrefix}([^:]+):([^:]+)$`);

function read(rawHeaders: readonly string[]): User | undefined {
  let name: string | undefined;
  const groups: string[] = [];
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const header = rawHeaders[i]?.toLowerCase() ?? "";
    if (!header.startsWith("impersonate-")) continue;
    const value = rawHeaders[i + 1] ?? "";
    if (header === "impersonate-user") name = value;
    else if (header === "impersonate-group") groups.push(value);
    else throw new ApiError("BadRequest", `${header}: users here have a name and groups, and nothing else to take on`);
  }
  if (name === undefined && groups.length > 0)
    throw new ApiError("BadRequest", "impersonate-group: groups go with a user, who is missing: impersonate-user");
  if (name === "") throw new ApiError("BadRequest", "impersonate-user: the name is empty");
  return name === undefined ? undefined : { name, groups };
}

function impersonating(resource: string, name: string) {
  return { type: "resource", verb: "impersonate", group: "", resource, subresource: "", namespace: "", name } as const;
}
