// Tokens of service accounts in pods' volumes: asked for once, and again when most of their time is over.
// Source: Kubernetes documentation, "Configure Service Accounts for Pods", ServiceAccount token volume projection.
import type { Pod, ServiceAccountTokenProjection } from "../../api/kinds/generated/types.ts";
import type { Clock, Timer } from "../../lib/clock.ts";
import { VolumeError } from "../volumes/volume-type.ts";
import type { PodWorker } from "./pod-worker.ts";
import { messageOf } from "./start-problem.ts";

/** As the session asks the server. */
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
  /** Asks for what the pod's volumes will want, so that it is here when they are made. */
  prepare(pod: Pod): void;
  /** False when one of the pod's is due to be renewed, or could not be had. */
  isFresh(uid: string): boolean;
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
const firstLookMs = 1000;

export function serviceTokens(request: RequestToken | undefined, clock: Clock): ServiceTokens {
  const known = new Map<string, Known>();
  /** Being asked for, so that two who want one ask once. */
  const asked = new Map<string, Promise<string>>();

  const ask = async (key: string, pod: Pod, wanted: Wanted): Promise<string> => {
    const { name = "", namespace = "default", uid = "" } = pod.metadata ?? {};
    const had = known.get(key);
    const nowMs = clock.now();
    const account = accountOf(pod);
    try {
      if (request === undefined) throw new Error("this agent has no server to ask");
      const { token, expiresAtMs } = await request({ namespace, account, pod: { name, uid }, ...wanted });
      const renewAtMs = nowMs + Math.min(renewAfterMsMax, (expiresAtMs - nowMs) * renewAfterPart);
      known.set(key, { token, expiresAtMs, renewAtMs });
      return token;
    } catch (cause) {
      if (had !== undefined && nowMs < had.expiresAtMs) return had.token;
      const why = `failed to fetch token for serviceaccount "${account}": ${messageOf(cause)}`;
      throw new VolumeError(why, { cause });
    }
  };

  const tokenFor: ServiceTokens["tokenFor"] = async (pod, projection) => {
    const { audience = "", expirationSeconds = expirationSecondsDefault } = projection;
    const key = `${pod.metadata?.uid ?? ""} ${expirationSeconds} ${audience}`;
    const had = known.get(key);
    if (had !== undefined && clock.now() < had.renewAtMs) return had.token;
    const there = asked.get(key);
    if (there !== undefined) return there;
    const answer = ask(key, pod, { audience, expirationSeconds }).finally(() => asked.delete(key));
    asked.set(key, answer);
    return answer;
  };

  return {
    tokenFor,
    prepare: (pod) => {
      // Who fails here is told when the volume is made.
      for (const projection of tokensIn(pod)) tokenFor(pod, projection).catch(() => {});
    },
    isFresh: (uid) => {
      const own = [...known].filter(([key]) => key.startsWith(`${uid} `));
      return own.length > 0 && own.every(([, { renewAtMs }]) => clock.now() < renewAtMs);
    },
    keepOnly: (uids) => {
      for (const key of known.keys()) if (!uids.has(key.slice(0, key.indexOf(" ")))) known.delete(key);
    },
  };
}

/** Has volumes whose tokens are due looked at again, until disposed. */
export function watchTokens(workers: () => readonly PodWorker[], tokens: ServiceTokens, clock: Clock): Disposable {
  let timer: Timer | undefined;
  const look = () => {
    tokens.keepOnly(new Set(workers().map(({ uid }) => uid)));
    for (const worker of workers()) {
      if (tokensIn(worker.pod).length > 0 && !tokens.isFresh(worker.uid)) worker.sourcesChanged();
    }
    timer = clock.after(lookMs, look);
  };
  // Pods that an earlier agent began have its tokens, whose age nobody knows.
  timer = clock.after(firstLookMs, look);
  return { [Symbol.dispose]: () => timer?.cancel() };
}

type Wanted = Pick<Parameters<RequestToken>[0], "audience" | "expirationSeconds">;

function accountOf(pod: Pod): string {
  return pod.spec?.serviceAccountName ?? "default";
}

function tokensIn(pod: Pod): readonly ServiceAccountTokenProjection[] {
  return (pod.spec?.volumes ?? []).flatMap(({ projected }) =>
    (projected?.sources ?? []).flatMap(({ serviceAccountToken }) => serviceAccountToken ?? []),
  );
}
