// projected volumes: ConfigMaps, Secrets, the pod's fields and tokens in one folder. In memory, because secrets may be among them.

import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { ServiceAccountTokenProjection, VolumeProjection } from "../../api/kinds/generated/types.ts";
import { type Files, type FileToWrite, writeFiles } from "./atomic-files.ts";
import { downwardFiles } from "./downward-api.ts";
import { configMapKeys, keyFiles, secretKeys } from "./key-files.ts";
import { type VolumeContext, VolumeError, type VolumeType } from "./volume-type.ts";

export const projectedVolume: VolumeType = {
  field: "projected",
  setUp: async (context) => {
    // What an earlier agent wrote is good until it is looked at again: a server that is away must hold nothing up.
    const token = async (projection: ServiceAccountTokenProjection) =>
      (await writtenToken(context, projection)) ?? Buffer.from(await context.serviceAccountToken(projection));
    await writeFiles(context.memoryDir, await files(context, token), { fsGroup: context.fsGroup });
    return { path: context.memoryDir, readOnly: true };
  },
  refresh: async (context) => {
    const token = (projection: ServiceAccountTokenProjection) => newToken(context, projection);
    await writeFiles(context.memoryDir, await files(context, token), { fsGroup: context.fsGroup });
  },
};

type TokenOf = (projection: ServiceAccountTokenProjection) => Promise<Buffer>;

async function files(context: VolumeContext, tokenOf: TokenOf): Promise<Files> {
  const { sources = [], defaultMode = 0o644 } = context.volume.projected ?? {};
  const all = new Map<string, FileToWrite>();
  for (const source of sources) {
    for (const [path, file] of await sourceFiles(context, source, { defaultMode, tokenOf })) all.set(path, file);
  }
  return all;
}

async function sourceFiles(
  context: VolumeContext,
  source: VolumeProjection,
  { defaultMode, tokenOf }: { readonly defaultMode: number; readonly tokenOf: TokenOf },
): Promise<Files> {
  if (source.configMap !== undefined) {
    const { name = "", items, optional = false } = source.configMap;
    const found = context.configMap(name);
    if (found === undefined && !optional) throw new VolumeError(`configmap "${name}" not found`);
    return keyFiles(found === undefined ? undefined : configMapKeys(found), { items, defaultMode, optional });
  }
  if (source.secret !== undefined) {
    const { name = "", items, optional = false } = source.secret;
    const found = context.secret(name);
    if (found === undefined && !optional) throw new VolumeError(`secret "${name}" not found`);
    return keyFiles(found === undefined ? undefined : secretKeys(found), { items, defaultMode, optional });
  }
  if (source.downwardAPI !== undefined) return downwardFiles(context, source.downwardAPI.items ?? [], defaultMode);
  if (source.serviceAccountToken !== undefined) {
    const content = await tokenOf(source.serviceAccountToken);
    return new Map([[source.serviceAccountToken.path, { content, ...tokenAccess(context, defaultMode) }]]);
  }
  const field = Object.keys(source)[0] ?? "nothing";
  throw new VolumeError(
    `projection of ${field} is not supported; this node has configMap, secret, downwardAPI, serviceAccountToken`,
  );
}

// A token is not for every user in the pod where it is known whose it is. Source: Kubernetes, "Configure Service Accounts for Pods".
function tokenAccess({ fsGroup, fsUser }: VolumeContext, defaultMode: number): Omit<FileToWrite, "content"> {
  return { mode: fsGroup === undefined && fsUser === undefined ? defaultMode : 0o600, uid: fsUser };
}

// Who finds no server keeps what is written.
async function newToken(context: VolumeContext, projection: ServiceAccountTokenProjection): Promise<Buffer> {
  try {
    return Buffer.from(await context.serviceAccountToken(projection));
  } catch (error) {
    const written = await writtenToken(context, projection);
    if (written === undefined) throw error;
    return written;
  }
}

async function writtenToken(
  { memoryDir }: VolumeContext,
  { path }: ServiceAccountTokenProjection,
): Promise<Buffer | undefined> {
  const file = join(memoryDir, path);
  return existsSync(file) ? readFile(file).catch(() => undefined) : undefined;
}
