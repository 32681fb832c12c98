// What a request wants to do, as authorization and metrics see it.

export interface ResourceAttributes {
  readonly type: "resource";
  /** "get", "list", "watch", "create", "update", "patch", "delete", "deletecollection" */
  readonly verb: string;
  readonly group: string;
  readonly resource: string;
  /** "" for the resource itself. */
  readonly subresource: string;
  /** "" at the cluster's scope. */
  readonly namespace: string;
  /** "" for collections. */
  readonly name: string;
}

export interface PathAttributes {
  readonly type: "path";
  /** The HTTP method in lower case. */
  readonly verb: string;
  readonly path: string;
}

export type Attributes = ResourceAttributes | PathAttributes;
