// Who makes a request: a name and groups, as client certificates and tokens give them.

export interface User {
  readonly name: string;
  readonly groups: readonly string[];
}

export const mastersGroup = "system:masters";
export const nodesGroup = "system:nodes";
export const monitoringGroup = "naru:monitoring";
export const authenticatedGroup = "system:authenticated";
export const unauthenticatedGroup = "system:unauthenticated";
export const nodeUserPrefix = "system:node:";
export const serviceAccountPrefix = "system:serviceaccount:";

export const anonymous: User = { name: "system:anonymous", groups: [unauthenticatedGroup] };

/** A component of the server, such as componentUser("kube-scheduler"). */
export function componentUser(name: string): User {
  return { name: `system:${name}`, groups: [authenticatedGroup] };
}

/** The agent of a node. */
export function nodeUser(node: string): User {
  return { name: `${nodeUserPrefix}${node}`, groups: [nodesGroup, authenticatedGroup] };
}

/** Groups of a namespace's service accounts, besides everybody's. */
export function accountGroups(namespace: string): readonly string[] {
  return ["system:serviceaccounts", `system:serviceaccounts:${namespace}`];
}
