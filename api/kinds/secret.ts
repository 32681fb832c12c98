// What a Secret does beyond its schema.
import { ageColumn, column, nameColumn, numberColumn } from "./columns.ts";
import { base64Bytes, dataErrors, frozenErrors } from "./config-data.ts";
import { secrets } from "./generated/resources.ts";
import type { Secret } from "./generated/types.ts";
import type { FieldError, Kind } from "./kind.ts";
import { validateMetadata } from "./metadata.ts";
import { immutable, required } from "./schema/field-error.ts";
import { equal } from "./schema/patch-json.ts";
import { key } from "./schema/path.ts";

const requiredKeys: Readonly<Record<string, readonly string[]>> = {
  "kubernetes.io/tls": ["tls.crt", "tls.key"],
  "kubernetes.io/dockerconfigjson": [".dockerconfigjson"],
  "kubernetes.io/dockercfg": [".dockercfg"],
  "kubernetes.io/ssh-auth": ["ssh-privatekey"],
};

export const secretKind: Kind<Secret> = {
  resource: secrets,
  columns: [
    nameColumn,
    column("Type", "What its entries are for.", (secret) => secret.type ?? ""),
    numberColumn("Data", "How many entries it has.", (secret) => Object.keys(secret.data ?? {}).length),
    ageColumn,
  ],
  selectableFields: { type: (secret) => secret.type ?? "" },
  defaults: (secret) => encodeTexts({ ...secret, type: secret.type || "Opaque" }),
  validate: (secret) => [
    ...validateMetadata(secret),
    ...dataErrors({ data: secret.data }, (_, value) => base64Bytes(value)),
    ...missingKeys(secret),
  ],
  validateUpdate: (secret, old) => [
    ...(secret.type === old.type ? [] : [immutable("type", secret.type)]),
    ...frozenErrors(
      { immutable: secret.immutable },
      { immutable: old.immutable },
      (field) => field !== "data" || equal(secret.data, old.data),
    ),
  ],
};

/** stringData is for writing only: it goes into data. */
function encodeTexts(secret: Secret): Secret {
  const { stringData, ...rest } = secret;
  if (stringData === undefined) return secret;
  const encoded = Object.entries(stringData).map(([name, text]) => [
    name,
    Buffer.from(text, "utf8").toString("base64"),
  ]);
  return { ...rest, data: { ...rest.data, ...Object.fromEntries(encoded) } };
}

function missingKeys(secret: Secret): readonly FieldError[] {
  const type = secret.type ?? "";
  const keys = Object.hasOwn(requiredKeys, type) ? (requiredKeys[type] ?? []) : [];
  return keys.filter((name) => !Object.hasOwn(secret.data ?? {}, name)).map((name) => required(key("data", name)));
}
