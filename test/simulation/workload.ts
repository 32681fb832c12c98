// What users do during a run: they declare, scale, update and delete, cordon nodes and delete pods; and remember what was acknowledged.
import { deployments, nodes, pods, services } from "../../api/kinds/generated/resources.ts";
import type { Deployment, Service } from "../../api/kinds/generated/types.ts";
import { isReason } from "../../api/kinds/status.ts";
import type { Client } from "../../client/client.ts";
import { type Clock, sleep } from "../../lib/clock.ts";
import { below, fraction, type Random } from "../../lib/random.ts";
import { pick } from "./faults.ts";

/** A Deployment as its user thinks of it. */
export interface Declared {
  readonly replicas: number;
  readonly image: string;
  readonly cpuMilli: number;
}

/** What may be found of an object: its acknowledged state, and while a request is on its way also what that asks for. */
export interface Expectation<T> {
  /** undefined: it does not exist. */
  acknowledged: T | undefined;
  asked: { readonly state: T | undefined } | undefined;
}

export interface Workload {
  readonly deployments: ReadonlyMap<string, Expectation<Declared>>;
  readonly services: ReadonlyMap<string, Expectation<true>>;
  readonly cordoned: ReadonlyMap<string, Expectation<boolean>>;
  /** Requests that have no answer yet. */
  readonly inFlight: number;
  /** Does something drawn. */
  step(): void;
}

export interface WorkloadParts {
  readonly clock: Clock;
  readonly random: Random;
  /** One request to the server of the moment; rejects when that dies before it has answered. */
  readonly request: <T>(run: (client: Client) => Promise<T>) => Promise<T>;
  readonly nodes: readonly string[];
  readonly podNames: () => readonly string[];
  /** In all, so that everything fits when nothing is wrong. */
  readonly cpuMilliMax: number;
  readonly note: (...what: readonly (string | number)[]) => void;
}

const deploymentsMax = 12;
const replicasMax = 30;
const cordonedMax = 0.1;
const retryMs = 300;
const crowdReplicas = 150;
const crowdCpuMilli = 900;
const crowdMs = 4000;

export function openWorkload(parts: WorkloadParts): Workload {
  const { clock, random, request, note } = parts;
  const declared = new Map<string, Expectation<Declared>>();
  const declaredServices = new Map<string, Expectation<true>>();
  const cordoned = new Map<string, Expectation<boolean>>();
  const crowds = new Map<string, Expectation<Declared>>();
  let inFlight = 0;
  let named = 0;

  // Asks until the answer is definite: what is asked may be asked twice.
  const ask = async <T>(
    expectation: Expectation<T>,
    state: T | undefined,
    run: (client: Client) => Promise<unknown>,
  ) => {
    expectation.asked = { state };
    inFlight++;
    while (!(await attempt(run))) await sleep(clock, retryMs);
    inFlight--;
    expectation.acknowledged = state;
    expectation.asked = undefined;
  };
  const attempt = async (run: (client: Client) => Promise<unknown>): Promise<boolean> => {
    try {
      await request(run);
      return true;
    } catch (error) {
      if (isReason(error, "AlreadyExists", "NotFound")) return true;
      if (isReason(error, "Invalid", "BadRequest", "Forbidden")) throw error;
      return false;
    }
  };
  const put = <T>(map: Map<string, Expectation<T>>, name: string): Expectation<T> => {
    const known = map.get(name) ?? { acknowledged: undefined, asked: undefined };
    map.set(name, known);
    return known;
  };
  const still = <T>(map: ReadonlyMap<string, Expectation<T>>): readonly (readonly [string, Expectation<T>, T])[] =>
    [...map].flatMap(([name, one]) =>
      one.asked === undefined && one.acknowledged !== undefined ? [[name, one, one.acknowledged] as const] : [],
    );
  const cpuMilli = () =>
    [...declared.values()].reduce((sum, { acknowledged, asked }) => {
      const sizes = [acknowledged, asked?.state].map((one) => (one === undefined ? 0 : one.replicas * one.cpuMilli));
      return sum + Math.max(...sizes);
    }, 0);

  const create = () => {
    const state: Declared = {
      replicas: below(random, replicasMax),
      image: "app:1",
      cpuMilli: 50 * (1 + below(random, 18)),
    };
    if (declared.size >= deploymentsMax * 3 || cpuMilli() + state.replicas * state.cpuMilli > parts.cpuMilliMax) return;
    if (still(declared).length >= deploymentsMax) return;
    const name = `app-${++named}`;
    const strategy = fraction(random) < 0.2 ? { type: "Recreate" } : drawStrategy(random);
    note("user creates", name, JSON.stringify(state), JSON.stringify(strategy));
    void ask(put(declared, name), state, (client) => client.create(deployments, deploymentOf(name, state, strategy)));
    if (fraction(random) < 0.7) {
      void ask(put(declaredServices, name), true, (client) => client.create(services, serviceOf(name)));
    }
  };

  const change = (
    make: (state: Declared) => Declared | undefined,
    run: (name: string, next: Declared) => (client: Client) => Promise<unknown>,
  ) => {
    const all = still(declared);
    if (all.length === 0) return;
    const [name, expectation, state] = pick(random, all);
    const next = make(state);
    if (next === undefined) return;
    if (cpuMilli() + next.replicas * next.cpuMilli > parts.cpuMilliMax) return;
    note("user changes", name, JSON.stringify(next));
    void ask(expectation, next, run(name, next));
  };

  const remove = () => {
    const all = still(declared);
    if (all.length < 4) return;
    const [name, expectation] = pick(random, all);
    note("user deletes", name);
    void ask(expectation, undefined, (client) => client.delete(deployments, { namespace, name }));
    const service = declaredServices.get(name);
    if (service === undefined || service.asked !== undefined) return;
    void ask(service, undefined, (client) => client.delete(services, { namespace, name }));
  };

  const cordon = () => {
    const name = pick(random, parts.nodes);
    const known = put(cordoned, name);
    if (known.asked !== undefined) return;
    const next = known.acknowledged !== true;
    const count = [...cordoned.values()].filter(({ acknowledged }) => acknowledged === true).length;
    if (next && count >= parts.nodes.length * cordonedMax) return;
    note("user cordons", name, String(next));
    void ask(known, next, (client) =>
      client.patch(nodes, { name }, { type: "merge", body: { spec: { unschedulable: next } } }),
    );
  };

  // More than fits, for a while: the scheduler works at the limit of every node.
  const crowd = () => {
    const name = `crowd-${++named}`;
    const state: Declared = { replicas: crowdReplicas, image: "app:1", cpuMilli: crowdCpuMilli };
    note("user crowds", name);
    const expectation = put(crowds, name);
    void ask(expectation, state, (client) => client.create(deployments, deploymentOf(name, state, {}))).then(
      async () => {
        await sleep(clock, crowdMs);
        note("user ends", name);
        await ask(expectation, undefined, (client) => client.delete(deployments, { namespace, name }));
      },
    );
  };

  const deletePod = () => {
    const names = parts.podNames();
    if (names.length === 0) return;
    const key = pick(random, names);
    note("user deletes pod", key);
    const [namespace = "", name = ""] = key.split("/");
    void attempt((client) => client.delete(pods, { namespace, name }));
  };

  return {
    deployments: declared,
    services: declaredServices,
    cordoned,
    get inFlight() {
      return inFlight;
    },
    step: () => {
      const drawn = fraction(random);
      if (drawn < 0.25) create();
      else if (drawn < 0.5) {
        change(
          (state) => ({ ...state, replicas: below(random, replicasMax) }),
          (name, { replicas }) =>
            (client) =>
              client.patch(deployments, { namespace, name }, { type: "merge", body: { spec: { replicas } } }),
        );
      } else if (drawn < 0.7) {
        change(
          (state) => ({ ...state, image: `app:${below(random, 5)}` }),
          (name, { image }) => {
            const spec = { template: { spec: { containers: [{ name: "app", image }] } } };
            return (client) => client.patch(deployments, { namespace, name }, { type: "strategic", body: { spec } });
          },
        );
      } else if (drawn < 0.77) remove();
      else if (drawn < 0.85) cordon();
      else if (drawn < 0.9) crowd();
      else deletePod();
    },
  };
}

const namespace = "default";

function drawStrategy(random: Random) {
  const bounds = [
    { maxSurge: 0, maxUnavailable: 1 },
    { maxSurge: 1, maxUnavailable: 0 },
    { maxSurge: "25%", maxUnavailable: "25%" },
    { maxSurge: "100%", maxUnavailable: "50%" },
  ];
  return { type: "RollingUpdate", rollingUpdate: pick(random, bounds) };
}

function deploymentOf(name: string, { replicas, image, cpuMilli }: Declared, strategy: object): Deployment {
  const labels = { app: name };
  const resources = { requests: { cpu: `${cpuMilli}m`, memory: "64Mi" } };
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { namespace, name },
    spec: {
      replicas,
      strategy,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [{ name: "app", image, resources }] } },
    },
  };
}

function serviceOf(name: string): Service {
  const spec = { selector: { app: name }, ports: [{ port: 80 }] };
  return { apiVersion: "v1", kind: "Service", metadata: { namespace, name }, spec };
}
