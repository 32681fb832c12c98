import { deepEqual, ok } from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Deployment, IntOrString, ReplicaSet } from "../api/kinds/generated/types.ts";
import { planRollout, rolloutLimits } from "./plan-rollout.ts";

interface Sets {
  /** Oldest first; the last is the new one. */
  readonly replicas: number[];
  /** Pods there are, and how many of them are available. */
  readonly pods: number[];
  readonly available: number[];
}

const boundDrawn = fc.oneof(
  fc.integer({ min: 0, max: 5 }),
  fc.integer({ min: 0, max: 100 }).map((n) => `${n}%`),
);

test("rolloutLimits rounds surge up, unavailable down, and never lets both be 0", () => {
  const limits = (maxSurge: IntOrString, maxUnavailable: IntOrString) =>
    rolloutLimits(deploymentOf(10, { maxSurge, maxUnavailable }));
  deepEqual(
    [limits("25%", "25%"), limits(0, 0), limits("0%", "0%"), limits(3, 20)],
    [
      { maxSurge: 3, maxUnavailable: 2 },
      { maxSurge: 0, maxUnavailable: 1 },
      { maxSurge: 0, maxUnavailable: 1 },
      { maxSurge: 3, maxUnavailable: 10 },
    ],
  );
});

test("planRollout stays within surge and availability through whole rollouts, and finishes them", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 20 }),
      boundDrawn,
      boundDrawn,
      fc.array(fc.integer({ min: 0, max: 20 }), { minLength: 1, maxLength: 3 }),
      fc.infiniteStream(fc.integer({ min: 0, max: 3 })),
      (wanted, maxSurge, maxUnavailable, old, chance) => {
        const deployment = deploymentOf(wanted, { maxSurge, maxUnavailable });
        const limits = rolloutLimits(deployment);
        // As a former rollout that was cut short leaves it: together not above what was wanted.
        const sizes = shareOut(wanted, old);
        const sets: Sets = { replicas: [...sizes, 0], pods: [...sizes, 0], available: [...sizes, 0] };
        for (let pass = 0; pass < 500; pass++) {
          apply(deployment, sets);
          const total = sum(sets.replicas);
          ok(total <= wanted + limits.maxSurge, `${total} replicas are asked for, ${JSON.stringify(sets)}`);
          settle(sets, () => chance.next().value ?? 0);
          const available = sum(sets.available);
          ok(available >= wanted - limits.maxUnavailable, `${available} available, ${JSON.stringify(sets)}`);
          if (sets.replicas.at(-1) === wanted && total === wanted && sets.available.at(-1) === wanted) return;
        }
        throw new Error(`the rollout does not end: ${JSON.stringify(sets)}`);
      },
    ),
    { numRuns: 300 },
  );
});

test("planRollout of strategy Recreate starts new pods only when no old one is left", () => {
  const deployment: Deployment = { ...deploymentOf(3, {}), spec: { ...specOf(3), strategy: { type: "Recreate" } } };
  const plan = (old: readonly [replicas: number, pods: number]) =>
    planRollout(deployment, setOf("new", [0, 0, 0]), [setOf("old", [old[0], old[1], old[1]])]).map(
      ({ set, replicas }) => [set.metadata?.name, replicas],
    );
  deepEqual([plan([3, 3]), plan([0, 2]), plan([0, 0])], [[["old", 0]], [], [["new", 3]]]);
});

function apply(deployment: Deployment, sets: Sets): void {
  const objects = sets.replicas.map((replicas, i) =>
    setOf(`set-${i}`, [replicas, sets.pods[i] ?? 0, sets.available[i] ?? 0]),
  );
  for (const { set, replicas } of planRollout(deployment, objects.at(-1), objects.slice(0, -1))) {
    sets.replicas[objects.indexOf(set)] = replicas;
  }
}

// Each set's pods come and go towards its size, and become available in their own time; a set removes what is not available first.
function settle({ replicas, pods, available }: Sets, chance: () => number): void {
  for (const [i, size] of replicas.entries()) {
    const [has, ready] = [pods[i] ?? 0, available[i] ?? 0];
    pods[i] = size;
    available[i] =
      has > size ? Math.min(ready, size) : Math.min(size, ready + (ready < has ? Math.min(has - ready, chance()) : 0));
  }
}

function shareOut(total: number, weights: readonly number[]): number[] {
  let left = total;
  return weights.map((weight, i) => {
    const share = i === weights.length - 1 ? left : Math.min(left, weight);
    left -= share;
    return share;
  });
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

function specOf(replicas: number): NonNullable<Deployment["spec"]> {
  return { replicas, selector: {}, template: {} };
}

function deploymentOf(
  replicas: number,
  rollingUpdate: { readonly maxSurge?: IntOrString; readonly maxUnavailable?: IntOrString },
): Deployment {
  return {
    metadata: { name: "web" },
    spec: { ...specOf(replicas), strategy: { type: "RollingUpdate", rollingUpdate } },
  };
}

function setOf(name: string, [replicas, pods, available]: readonly [number, number, number]): ReplicaSet {
  return {
    metadata: { name, creationTimestamp: "2026-01-01T00:00:00Z" },
    spec: { replicas, selector: {} },
    status: { replicas: pods, readyReplicas: available, availableReplicas: available },
  };
}
