// A Secret: what it has, never what that is.
import { secrets } from "../../api/kinds/generated/resources.ts";
import type { Secret } from "../../api/kinds/generated/types.ts";
import { metadataRows } from "./common.ts";
import type { Describer } from "./describers.ts";
import type { Part } from "./layout.ts";

export const secretDescriber: Describer<Secret> = {
  resource: secrets,
  describe: async (secret, { nowMs }) => secretParts(secret, nowMs),
};

export function secretParts(secret: Secret, nowMs: number): readonly Part[] {
  return [
    { type: "fields", rows: [...metadataRows(secret, nowMs), ["Type", secret.type ?? ""]] },
    {
      type: "table",
      title: "Data",
      header: ["KEY", "SIZE"],
      rows: Object.entries(secret.data ?? {}).map(([key, value]) => [
        key,
        `${Buffer.from(value, "base64").length} bytes`,
      ]),
    },
  ];
}
