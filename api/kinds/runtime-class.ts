// What a RuntimeClass does beyond its schema: it names, for pods, what runs their containers.
import { ageColumn, column, nameColumn } from "./columns.ts";
import { runtimeclasses } from "./generated/resources.ts";
import type { RuntimeClass } from "./generated/types.ts";
import type { Kind } from "./kind.ts";
import { validateMetadata } from "./metadata.ts";

/** What every node has: the runtime that Naru brings. */
export const builtInHandlers: readonly string[] = ["", "naru"];

export const runtimeClassKind: Kind<RuntimeClass> = {
  resource: runtimeclasses,
  columns: [nameColumn, column("Handler", "What runs the containers.", ({ handler }) => handler ?? ""), ageColumn],
  selectableFields: {},
  validate: (runtimeClass) => [
    ...validateMetadata(runtimeClass),
    ...(/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/.test(runtimeClass.handler)
      ? []
      : [
          {
            field: "handler",
            type: "invalid" as const,
            message: `Invalid value: ${JSON.stringify(runtimeClass.handler)}: a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character`,
          },
        ]),
  ],
  validateUpdate: ({ handler }, old) =>
    handler === old.handler
      ? []
      : [
          {
            field: "handler",
            type: "immutable",
            message: `Invalid value: ${JSON.stringify(handler)}: field is immutable`,
          },
        ],
};
