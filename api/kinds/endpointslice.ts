// What an EndpointSlice does beyond its schema.
import { ageColumn, column, nameColumn, someOf } from "./columns.ts";
import { endpointslices } from "./generated/resources.ts";
import type { EndpointSlice } from "./generated/types.ts";
import type { FieldError, Kind } from "./kind.ts";
import { validateMetadata } from "./metadata.ts";
import { immutable, oneOf, required } from "./schema/field-error.ts";
import { fill } from "./schema/fill.ts";
import { at, child } from "./schema/path.ts";

const shownMax = 3;
const endpointsMax = 1000;

export const endpointsliceKind: Kind<EndpointSlice> = {
  resource: endpointslices,
  columns: [
    nameColumn,
    column("AddressType", "IPv4, IPv6 or FQDN.", (slice) => slice.addressType),
    column(
      "Ports",
      "Ports of every endpoint.",
      (slice) =>
        someOf(
          (slice.ports ?? []).map((p) => String(p.port ?? "*")),
          shownMax,
        ) || "<unset>",
    ),
    column(
      "Endpoints",
      "Addresses.",
      (slice) =>
        someOf(
          (slice.endpoints ?? []).flatMap((e) => e.addresses),
          shownMax,
        ) || "<unset>",
    ),
    ageColumn,
  ],
  selectableFields: {},
  defaults: (slice) =>
    slice.ports === undefined
      ? slice
      : { ...slice, ports: slice.ports.map((port) => ({ ...fill(port, { protocol: "TCP" }), name: port.name ?? "" })) },
  validate: (slice) => [...validateMetadata(slice), ...sliceErrors(slice)],
  validateUpdate: (slice, old) =>
    slice.addressType === old.addressType ? [] : [immutable("addressType", slice.addressType)],
};

function sliceErrors(slice: EndpointSlice): readonly FieldError[] {
  const endpoints = slice.endpoints ?? [];
  return [
    ...(slice.addressType
      ? oneOf("addressType", slice.addressType, ["FQDN", "IPv4", "IPv6"])
      : [required("addressType")]),
    ...(endpoints.length > endpointsMax
      ? [
          {
            field: "endpoints",
            type: "tooMany" as const,
            message: `Too many: ${endpoints.length}: must have at most ${endpointsMax} items`,
          },
        ]
      : []),
    ...endpoints.flatMap((endpoint, i) =>
      endpoint.addresses.length === 0
        ? [required(child(at("endpoints", i), "addresses"), "must contain at least 1 address")]
        : [],
    ),
  ];
}
