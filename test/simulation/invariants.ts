// What must hold: at every moment, and once faults have stopped. Pure, over what is durable, what machines run and what users were told.
import type { Node, Pod } from "../../api/kinds/generated/types.ts";
import { amountOf } from "../../api/kinds/pod-requests.ts";
import type { BatchWorkload } from "./batch.ts";
import { batchViolations } from "./batch-invariants.ts";
import type { Machine } from "./machine.ts";
import type { Expectation, Workload } from "./workload.ts";
import type { World } from "./world.ts";

export interface Observed {
  readonly world: World;
  readonly machines: readonly Machine[];
  readonly workload: Pick<Workload, "deployments" | "services" | "cordoned" | "inFlight">;
  readonly batch: Pick<BatchWorkload, "inFlight">;
}

/** Broken promises; none at any moment of any run. */
export function violations(observed: Observed): readonly string[] {
  return [
    ...observed.world.violations,
    ...lostAcknowledgements(observed),
    ...runsTwice(observed),
    ...overcommitted(observed),
    ...batchViolations(observed.world),
  ];
}

function lostAcknowledgements({ world, workload }: Observed): readonly string[] {
  const found: string[] = [];
  const check = <T>(
    what: string,
    expectation: Expectation<T>,
    present: T | undefined,
    same: (a: T, b: T) => boolean,
  ) => {
    const allowed = [expectation.acknowledged, ...(expectation.asked === undefined ? [] : [expectation.asked.state])];
    const holds = allowed.some((one) =>
      one === undefined || present === undefined ? one === present : same(one, present),
    );
    if (!holds) found.push(`${what} is ${JSON.stringify(present)}, acknowledged was ${JSON.stringify(allowed)}`);
  };
  for (const [name, expectation] of workload.deployments) {
    const spec = world.deployments.get(`default/${name}`)?.spec;
    const container = spec?.template?.spec?.containers?.[0];
    const present =
      spec === undefined
        ? undefined
        : {
            replicas: spec.replicas ?? 1,
            image: container?.image ?? "",
            cpuMilli: amountOf("cpu", container?.resources?.requests?.["cpu"] ?? "0"),
          };
    const same = (a: typeof present, b: typeof present) => JSON.stringify(a) === JSON.stringify(b);
    check(`deployment ${name}`, expectation, present, same);
  }
  for (const [name, expectation] of workload.services) {
    check(`service ${name}`, expectation, world.services.has(`default/${name}`) ? true : undefined, () => true);
  }
  for (const [name, expectation] of workload.cordoned) {
    if (expectation.acknowledged === undefined) continue;
    const present = world.nodes.get(name)?.spec?.unschedulable === true;
    check(`cordon of ${name}`, expectation, present, (a, b) => a === b);
  }
  return found;
}

function runsTwice({ world, machines }: Observed): readonly string[] {
  const found: string[] = [];
  const machineOf = new Map<string, string>();
  const byUid = new Map([...world.pods.values()].map((pod) => [pod.metadata?.uid ?? "", pod]));
  for (const { name, pods } of machines) {
    for (const uid of pods().keys()) {
      const other = machineOf.get(uid);
      if (other !== undefined) found.push(`pod ${uid} runs on ${other} and on ${name}`);
      machineOf.set(uid, name);
      const bound = byUid.get(uid)?.spec?.nodeName;
      if (bound !== undefined && bound !== name) found.push(`pod ${uid} is bound to ${bound} and runs on ${name}`);
    }
  }
  return found;
}

// Of what runs: a scheduler that was killed may have bound what its successor did not know of, and the node rejects it.
function overcommitted({ world: { pods, nodes }, machines }: Observed): readonly string[] {
  const used = new Map<string, Map<string, number>>();
  const running = new Set(machines.flatMap((machine) => [...machine.pods().keys()]));
  for (const pod of pods.values()) {
    const node = pod.spec?.nodeName ?? "";
    const isOver = pod.status?.phase === "Succeeded" || pod.status?.phase === "Failed";
    if (node === "" || isOver || !running.has(pod.metadata?.uid ?? "")) continue;
    const sums = used.get(node) ?? new Map<string, number>();
    used.set(node, sums);
    for (const [name, amount] of demands(pod)) sums.set(name, (sums.get(name) ?? 0) + amount);
  }
  return [...used].flatMap(([node, sums]) => {
    const object = nodes.get(node);
    return object === undefined ? [] : [...sums].flatMap(([name, amount]) => excess(object, name, amount));
  });
}

function demands(pod: Pod): readonly (readonly [string, number])[] {
  const requests = (pod.spec?.containers ?? []).flatMap(({ resources }) => Object.entries(resources?.requests ?? {}));
  return [["pods", 1], ...requests.map(([name, quantity]) => [name, amountOf(name, quantity)] as const)];
}

function excess({ metadata, status }: Node, name: string, amount: number): readonly string[] {
  const has = amountOf(name, status?.allocatable?.[name] ?? "0");
  return amount > has ? [`node ${metadata?.name} is overcommitted: ${name} ${amount} of ${has}`] : [];
}
