// What a client wants its answer to look like, from its Accept header. Pure.
// Source: Kubernetes documentation, "API concepts", "Receiving resources as Tables".
import { ApiError } from "../kinds/status.ts";

export interface View {
  /** "Object" for the objects themselves. */
  readonly as: "Object" | "Table" | "PartialObjectMetadata" | "PartialObjectMetadataList" | "APIGroupDiscoveryList";
  /** Of the group that `as` belongs to: "v1", "v1beta1", "v2", … */
  readonly version: string;
  readonly yaml: boolean;
}

const plain: View = { as: "Object", version: "v1", yaml: false };

const known: Readonly<Record<string, { readonly group: string; readonly versions: readonly string[] }>> = {
  Table: { group: "meta.k8s.io", versions: ["v1", "v1beta1"] },
  PartialObjectMetadata: { group: "meta.k8s.io", versions: ["v1", "v1beta1"] },
  PartialObjectMetadataList: { group: "meta.k8s.io", versions: ["v1", "v1beta1"] },
  APIGroupDiscoveryList: { group: "apidiscovery.k8s.io", versions: ["v2", "v2beta1"] },
};

/** The first offer that can be made; NotAcceptable when there is none, such as for protobuf alone. */
export function viewOf(accept: string | undefined): View {
  if (accept === undefined || accept === "") return plain;
  for (const offer of accept.split(",")) {
    const view = readOffer(offer);
    if (view !== undefined) return view;
  }
  throw new ApiError(
    "NotAcceptable",
    "only the following media types are accepted: application/json, application/yaml, application/json;as=Table;v=v1;g=meta.k8s.io",
  );
}

function readOffer(offer: string): View | undefined {
  const [type = "", ...parameters] = offer.split(";").map((part) => part.trim());
  const media = type.toLowerCase();
  const yaml = media === "application/yaml" || media === "text/yaml";
  if (!yaml && !["application/json", "application/*", "*/*", "text/*", "text/plain"].includes(media)) return undefined;
  const values = new Map(parameters.map((parameter) => parameter.split("=", 2) as [string, string]));
  const as = values.get("as");
  if (as === undefined) return { ...plain, yaml };
  const kind = known[as];
  const version = values.get("v") ?? "";
  if (kind === undefined || values.get("g") !== kind.group || !kind.versions.includes(version)) return undefined;
  return { as: as as View["as"], version, yaml };
}
