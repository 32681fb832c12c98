import assert from "node:assert/strict";
import { test } from "node:test";
import type { PersistentVolumeClaim, StorageClass } from "../api/kinds/generated/types.ts";
import { localDriver } from "../api/kinds/local-volume.ts";
import { type VolumeLookup, volumeDemandOf } from "./volume-demand.ts";

const claims: Readonly<Record<string, PersistentVolumeClaim>> = {
  "a/local": { spec: { storageClassName: "local" } },
  "a/bound": { spec: { storageClassName: "gone", volumeName: "v" } },
  "a/lost": { spec: { volumeName: "w" } },
  "a/none": { spec: { storageClassName: "" } },
  "a/nope": { spec: { storageClassName: "nope" } },
  "a/manual": { spec: { storageClassName: "manual" } },
};
const classes: Readonly<Record<string, StorageClass>> = {
  local: { provisioner: localDriver },
  manual: { provisioner: "kubernetes.io/no-provisioner" },
};
const lookup: VolumeLookup = {
  claim: (key) => claims[key],
  volume: (name) => (name === "v" ? {} : undefined),
  storageClass: (name) => classes[name],
  nodesUsing: () => [],
};

const cases: readonly (readonly [claim: string, waits: string | undefined])[] = [
  ["local", undefined],
  ["bound", undefined],
  ["missing", 'persistentvolumeclaim "missing" not found'],
  ["lost", 'persistentvolumeclaim "lost" has lost its volume w'],
  ["none", 'persistentvolumeclaim "none" is bound to no volume and names no storage class'],
  ["nope", 'persistentvolumeclaim "nope" is bound to no volume and there is no storage class nope'],
  ["manual", 'persistentvolumeclaim "manual" is bound to no volume and nothing makes one of class manual'],
];

for (const [claim, waits] of cases) {
  test(`volumeDemandOf the claim ${claim} ${waits === undefined ? "lets the pod go" : "waits"}`, () => {
    const demand = volumeDemandOf([`a/${claim}`], lookup);
    assert.equal(demand.type === "wait" ? demand.message : undefined, waits);
  });
}
