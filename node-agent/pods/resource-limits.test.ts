import assert from "node:assert/strict";
import { test } from "node:test";
import type { Container, Pod, PodSpec } from "../../api/kinds/generated/types.ts";
import { containerResources, podResources } from "./resource-limits.ts";

function podOf(containers: readonly Partial<Container>[], more: Partial<PodSpec> = {}): Pod {
  return { spec: { containers: containers.map((one, i) => ({ name: `c${i}`, ...one })), ...more } };
}

const limited = (cpu: string, memory: string): Partial<Container> => ({ resources: { limits: { cpu, memory } } });
const asking = (cpu: string): Partial<Container> => ({ resources: { requests: { cpu } } });

test("podResources adds what containers ask for, and limits when each has one", () => {
  const cases: readonly (readonly [Pod, object])[] = [
    [podOf([{}]), { cpuShares: 2 }],
    [
      podOf([limited("500m", "1Mi"), limited("1", "3Mi")]),
      { cpuShares: 1536, cpuQuotaUs: 150_000, cpuPeriodUs: 100_000, memoryBytesMax: 4 << 20 },
    ],
    [podOf([limited("1", "1Mi"), asking("1")]), { cpuShares: 2048 }],
    [
      podOf([asking("1")], {
        initContainers: [
          { name: "i", ...asking("3") },
          { name: "s", restartPolicy: "Always", ...asking("1500m") },
        ],
        overhead: { cpu: "1" },
      }),
      { cpuShares: 4096 },
    ],
    [
      podOf([{}], { resources: { limits: { cpu: "2", memory: "8Mi" } }, overhead: { memory: "1Mi" } }),
      { cpuShares: 2048, cpuQuotaUs: 200_000, cpuPeriodUs: 100_000, memoryBytesMax: 9 << 20 },
    ],
  ];
  assert.deepEqual(
    cases.map(([pod]) => podResources(pod)),
    cases.map(([, resources]) => resources),
  );
});

test("containerResources limits pages by the kernel's names of their sizes", () => {
  const limits = { "hugepages-2Mi": "4Mi", "hugepages-1Gi": "2Gi", "hugepages-64Ki": "128Ki" };
  const container = { name: "c", resources: { limits } };
  assert.deepEqual(containerResources(container, podOf([container]), 2 ** 30).hugepages, [
    { pageSize: "2MB", bytesMax: 4 << 20 },
    { pageSize: "1GB", bytesMax: 2 ** 31 },
    { pageSize: "64KB", bytesMax: 128 << 10 },
  ]);
});
