// Who may do what, as data. "*" stands for anything.
import {
  authenticatedGroup,
  mastersGroup,
  monitoringGroup,
  nodesGroup,
  unauthenticatedGroup,
} from "../authentication/user.ts";

export type Rule =
  | {
      readonly verbs: readonly string[];
      readonly groups: readonly string[];
      /** "pods", "pods/log", "*" */
      readonly resources: readonly string[];
    }
  /** A path, or a prefix that ends in "*". */
  | { readonly verbs: readonly string[]; readonly paths: readonly string[] };

export interface Role {
  readonly name: string;
  readonly members: { readonly groups: readonly string[]; readonly users: readonly string[] };
  readonly rules: readonly Rule[];
}

const read = ["get", "list", "watch"];
const probes = ["/healthz", "/healthz/*", "/livez", "/livez/*", "/readyz", "/readyz/*", "/version", "/version/"];

export const roles: readonly Role[] = [
  {
    name: "cluster-admin",
    members: { groups: [mastersGroup], users: [] },
    rules: [
      { verbs: ["*"], groups: ["*"], resources: ["*"] },
      { verbs: ["*"], paths: ["*"] },
    ],
  },
  {
    name: "system:public-info-viewer",
    members: { groups: [authenticatedGroup, unauthenticatedGroup], users: [] },
    rules: [{ verbs: ["get"], paths: probes }],
  },
  {
    name: "system:discovery",
    members: { groups: [authenticatedGroup], users: [] },
    rules: [
      { verbs: ["get"], paths: ["/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*"] },
      {
        verbs: ["create"],
        groups: ["authorization.k8s.io"],
        resources: ["selfsubjectaccessreviews", "selfsubjectrulesreviews"],
      },
      { verbs: ["create"], groups: ["authentication.k8s.io"], resources: ["selfsubjectreviews"] },
    ],
  },
  {
    // An agent talks gRPC; over HTTPS it renews its certificate, which the join route grants to its own name, and asks for tokens of
    // the pods that it runs.
    name: "system:node",
    members: { groups: [nodesGroup], users: [] },
    rules: [
      { verbs: ["post"], paths: ["/naru/v1/renew"] },
      { verbs: ["create"], groups: [""], resources: ["serviceaccounts/token"] },
    ],
  },
  {
    name: "naru:monitoring",
    members: { groups: [monitoringGroup], users: [] },
    rules: [
      { verbs: read, groups: [""], resources: ["nodes", "pods", "services", "namespaces"] },
      { verbs: read, groups: ["discovery.k8s.io"], resources: ["endpointslices"] },
      { verbs: ["get"], paths: ["/metrics", "/naru/v1/prometheus/targets"] },
    ],
  },
  {
    name: "system:kube-scheduler",
    members: { groups: [], users: ["system:kube-scheduler"] },
    rules: [
      { verbs: read, groups: ["*"], resources: ["*"] },
      { verbs: ["create"], groups: [""], resources: ["pods/binding", "events"] },
      { verbs: ["update", "patch"], groups: [""], resources: ["pods/status", "events"] },
      { verbs: ["delete"], groups: [""], resources: ["pods"] },
      { verbs: ["create", "update", "patch"], groups: ["coordination.k8s.io"], resources: ["leases"] },
      { verbs: ["post"], paths: ["/naru/v1/binds"] },
    ],
  },
  {
    name: "system:kube-controller-manager",
    members: { groups: [], users: ["system:kube-controller-manager"] },
    rules: [{ verbs: ["*"], groups: ["*"], resources: ["*"] }],
  },
];
