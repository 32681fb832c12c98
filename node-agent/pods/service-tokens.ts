// Tokens of service accounts in pods' volumes: asked for once, and again when most of their time is over.
// Source: Kubernetes documentation, "Configure Service Accounts for Pods", ServiceAccount token volume projection.
import type { Pod, ServiceAccountTokenProjection } from "../../api/kinds/generated/types.ts";
import type { Clock, Timer } from "../../lib/clock.ts";
import { VolumeError } from "../volumes/volume-type.ts";
import type { PodWorker } from "./pod-worker.ts";
import { messageOf } from "./start-problem.ts";

/** As client/service-account-token.ts asks the server. */
export type RequestToken = (wanted: {
  readonly namespace: string;
  readonly account: string;
  readonly pod: { readonly name: string; readonly uid: string };
  readonly audience: string;
  readonly expirationSeconds: number;
}) => Promise<{ readonly token: string; readonly expiresAtMs: number }>;

export interface ServiceTokens {
  /** Rejects with VolumeError when none can be had and none that was had is good. */
  tokenFor(pod: Pod, projection: ServiceAccountTokenProjection): Promise<string>;
  /** Forgets those of pods that are not here any more. */
  keepOnly(uids: ReadonlySet<string>): void;
}

interface Known {
  readonly token: string;
  readonly renewAtMs: number;
  readonly expiresAtMs: number;
}

const expirationSecondsDefault = 3600;
/** Of its life, after which a new one is asked for; at the latest after a day. */
const renewAfterPart = 0.8;
const renewAfterMsMax = 24 * 60 * 60 * 1000;
const lookMs = 60_000;

export function serviceTokens(request: RequestToken | undefined, clock: Clock): ServiceTokens {
  const known = new Map<string, Known>();
  return {
    tokenFor: async (pod, { audience = "", expirationSeconds = expirationSecondsDefault }) => {
      const { name = "", namespace = "default", uid = "" } = pod.metadata ?? {};
      const key = `${uid} ${expirationSeconds} ${audience}`;
      const had = known.get(key);
      const nowMs = clock.now();
      if (had !== undefined && nowMs < had.renewAtMs) return had.token;
      const account = pod.spec?.serviceAccountName ?? "default";
      try {
        if (request === undefined) throw new Error("this agent has no server to ask");
        const { token, expiresAtMs } = await request({
          namespace,
          account,
          pod: { name, uid },
          audience,
          expirationSeconds,
        });
        const renewAtMs = nowMs + Math.min(renewAfterMsMax, (expiresAtMs - nowMs) * renewAfterPart);
        known.set(key, { token, expiresAtMs, renewAtMs });
        return token;
      } catch (cause) {
        if (had !== undefined && nowMs < had.expiresAtMs) return had.token;
        throw new VolumeError(`failed to fetch token for serviceaccount "${account}": ${messageOf(cause)}`, { cause });
      }
    },
    keepOnly: (uids) => {
      for (const key of known.keys()) if (!uids.has(key.slice(0, key.indexOf(" ")))) known.delete(key);
    },
  };
}

/** Has volumes with tokens looked at again now and then, until disposed. */
export function watchTokens(workers: () => readonly PodWorker[], tokens: ServiceTokens, clock: Clock): Disposable {
  let timer: Timer | undefined;
  const look = () => {
    tokens.keepOnly(new Set(workers().map(({ uid }) => uid)));
    for (const worker of workers()) if (hasToken(worker.pod)) worker.sourcesChanged();
    timer = clock.after(lookMs, look);
  };
  timer = clock.after(lookMs, look);
  return { [Symbol.dispose]: () => timer?.cancel() };
}

function hasToken(pod: Pod): boolean {
  return (pod.spec?.volumes ?? []).some(
    ({ projected }) => projected?.sources?.some((source) => source.serviceAccountToken !== undefined) === true,
  );
}
