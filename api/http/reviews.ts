// Reviews, which are answered but not stored: who asks (`kubectl auth whoami`), and what they may do (`kubectl auth can-i`).

import type { Attributes } from "../authorization/attributes.ts";
import { allowedBy, rulesOf } from "../authorization/authorize.ts";
import { selfsubjectaccessreviews, selfsubjectreviews, selfsubjectrulesreviews } from "../kinds/generated/resources.ts";
import type { SelfSubjectAccessReview, SelfSubjectRulesReview } from "../kinds/generated/types.ts";
import type { Resource } from "../kinds/resource.ts";
import { ApiError } from "../kinds/status.ts";
import { sendJson } from "./answer.ts";
import type { Exchange } from "./exchange.ts";
import type { ResourceRequest } from "./request-info.ts";
import { notAllowed, readTyped } from "./typed-body.ts";

/** What the answer holds besides its kind. */
type Review = (exchange: Exchange, type: string) => Promise<object>;

const reviews = new Map<Resource, Review>([
  [selfsubjectreviews, whoAsks],
  [selfsubjectaccessreviews, mayThey],
  [selfsubjectrulesreviews, whatTheyMay],
] as const);

export async function handleReview(exchange: Exchange, info: ResourceRequest): Promise<number> {
  const { resource } = info;
  const review = reviews.get(resource);
  if (info.attributes.verb !== "create" || review === undefined) throw notAllowed(info);
  const { kind, group, version, type } = resource;
  await sendJson(exchange, { kind, apiVersion: `${group}/${version}`, ...(await review(exchange, type)) }, 201);
  return 201;
}

async function whoAsks({ user }: Exchange): Promise<object> {
  return { metadata: {}, status: { userInfo: { username: user.name, groups: user.groups } } };
}

async function mayThey(exchange: Exchange, type: string): Promise<object> {
  const body = await readTyped<SelfSubjectAccessReview>(exchange, type);
  const allowed = allowedBy(exchange.user, wantedIn(body));
  const reason = allowed === undefined ? {} : { reason: `allowed by role ${JSON.stringify(allowed.name)}` };
  return { ...body, status: { allowed: allowed !== undefined, ...reason } };
}

async function whatTheyMay(exchange: Exchange, type: string): Promise<object> {
  const body = await readTyped<SelfSubjectRulesReview>(exchange, type);
  const rules = rulesOf(exchange.user);
  return {
    ...body,
    status: {
      resourceRules: rules.flatMap((rule) =>
        "paths" in rule ? [] : [{ verbs: rule.verbs, apiGroups: rule.groups, resources: rule.resources }],
      ),
      nonResourceRules: rules.flatMap((rule) =>
        "paths" in rule ? [{ verbs: rule.verbs, nonResourceURLs: rule.paths }] : [],
      ),
      incomplete: false,
    },
  };
}

function wantedIn({ spec }: SelfSubjectAccessReview): Attributes {
  const { resourceAttributes: resource, nonResourceAttributes: path } = spec;
  if (path !== undefined) return { type: "path", verb: path.verb ?? "", path: path.path ?? "" };
  if (resource === undefined) {
    throw new ApiError(
      "Invalid",
      "spec: Invalid value: exactly one of nonResourceAttributes or resourceAttributes must be specified",
    );
  }
  const { verb = "", group = "", resource: name = "", subresource = "", namespace = "" } = resource;
  return { type: "resource", verb, group, resource: name, subresource, namespace, name: resource.name ?? "" };
}
