import assert from "node:assert/strict";
import { test } from "node:test";
import type { Node, PersistentVolume, PersistentVolumeClaim, Pod, StorageClass } from "../api/kinds/generated/types.ts";
import { localDriver, localVolumeFinalizer, volumeInUse, volumeRemoved } from "../api/kinds/local-volume.ts";
import { type ClaimSurroundings, planClaim, planVolume } from "./persistent-volume.ts";

const protection = "kubernetes.io/pvc-protection";
const local: StorageClass = {
  metadata: { name: "local", annotations: { "storageclass.kubernetes.io/is-default-class": "true" } },
  provisioner: localDriver,
  reclaimPolicy: "Delete",
};
const claimRef = { apiVersion: "v1", kind: "PersistentVolumeClaim", namespace: "a", name: "data", uid: "u1" };

function claim(
  spec: PersistentVolumeClaim["spec"] = {},
  metadata: PersistentVolumeClaim["metadata"] = {},
  status: PersistentVolumeClaim["status"] = { phase: "Pending" },
): PersistentVolumeClaim {
  const whole = {
    accessModes: ["ReadWriteOnce"],
    resources: { requests: { storage: "1Gi" } },
    storageClassName: "local",
    ...spec,
  };
  return {
    metadata: { namespace: "a", name: "data", uid: "u1", finalizers: [protection], ...metadata },
    spec: whole,
    status,
  };
}

function volume(
  name: string,
  spec: PersistentVolume["spec"] = {},
  metadata: PersistentVolume["metadata"] = {},
): PersistentVolume {
  const whole = { accessModes: ["ReadWriteOnce"], capacity: { storage: "1Gi" }, storageClassName: "local", ...spec };
  return { metadata: { name, ...metadata }, spec: whole };
}

function pod(nodeName?: string, phase = "Running"): Pod {
  const volumes = [{ name: "v", persistentVolumeClaim: { claimName: "data" } }];
  return { spec: { containers: [], volumes, ...(nodeName === undefined ? {} : { nodeName }) }, status: { phase } };
}

function around(more: Partial<ClaimSurroundings> = {}): ClaimSurroundings {
  return { pods: [], volumes: [], classes: [local], ...more };
}

test("planClaim guards a claim, gives it the default class, and waits for its first pod", () => {
  const { storageClassName: _, ...classless } = claim().spec ?? {};
  assert.deepEqual(
    [
      planClaim(claim({}, { finalizers: [] }), around()),
      planClaim({ ...claim(), spec: classless }, around()),
      planClaim(claim(), around({ pods: [pod(), pod("n1", "Succeeded")] })),
    ],
    [
      { type: "finalizers", finalizers: [protection] },
      { type: "class", name: "local" },
      {
        type: "wait",
        severity: "Normal",
        reason: "WaitForFirstConsumer",
        message: "waiting for first consumer to be created before binding",
      },
    ],
  );
});

test("planClaim says what a claim waits for that nothing here makes a volume for", () => {
  const manual: StorageClass = { metadata: { name: "manual" }, provisioner: "kubernetes.io/no-provisioner" };
  const waits = ["", "nope", "manual"].map((storageClassName) => {
    const step = planClaim(claim({ storageClassName }), around({ pods: [pod("n1")], classes: [local, manual] }));
    return step?.type === "wait" ? `${step.severity} ${step.reason}: ${step.message}` : step;
  });
  assert.deepEqual(waits, [
    "Normal FailedBinding: no persistent volumes available for this claim and no storage class is set",
    'Warning ProvisioningFailed: storageclass.storage.k8s.io "nope" not found',
    "Normal ExternalProvisioning: waiting for a volume of class manual that fits: nothing here makes one, its provisioner is kubernetes.io/no-provisioner",
  ]);
});

test("planClaim makes a local volume where the first pod is", () => {
  const step = planClaim(claim(), around({ pods: [pod(), pod("n1")] }));
  assert.deepEqual(step?.type === "make" ? [step.volume.metadata?.name, step.volume.spec] : step, [
    "pvc-u1",
    {
      accessModes: ["ReadWriteOnce"],
      capacity: { storage: "1Gi" },
      csi: { driver: localDriver, volumeHandle: "pvc-u1" },
      nodeAffinity: {
        required: {
          nodeSelectorTerms: [
            { matchExpressions: [{ key: "kubernetes.io/hostname", operator: "In", values: ["n1"] }] },
          ],
        },
      },
      persistentVolumeReclaimPolicy: "Delete",
      storageClassName: "local",
      volumeMode: "Filesystem",
      claimRef,
    },
  ]);
});

test("planClaim takes the smallest volume that fits and is nobody's", () => {
  const volumes = [
    volume("big", { capacity: { storage: "5Gi" } }),
    volume("fits", { capacity: { storage: "2Gi" } }),
    volume("small", { capacity: { storage: "1Mi" } }),
    volume("taken", { claimRef: { ...claimRef, uid: "u2" } }),
    volume("other-class", { storageClassName: "fast" }),
    volume("read-only", { accessModes: ["ReadOnlyMany"] }),
    volume("kept", { claimRef: { namespace: "a", name: "another" } }),
  ];
  assert.deepEqual(planClaim(claim(), around({ volumes, pods: [pod("n1")] })), { type: "take", volume: volumes[1] });
});

test("planClaim binds to the volume that names it, then says so, and says when it is lost", () => {
  const own = volume("pvc-u1", { claimRef });
  const bound = claim({ volumeName: "pvc-u1" });
  assert.deepEqual(
    [
      planClaim(claim(), around({ volumes: [own] })),
      planClaim(bound, around({ volumes: [own] })),
      planClaim({ ...bound, status: { phase: "Bound", capacity: { storage: "1Gi" } } }, around({ volumes: [own] })),
      planClaim(bound, around()),
    ],
    [
      { type: "bind", volume: own },
      { type: "status", status: { phase: "Bound", capacity: { storage: "1Gi" }, accessModes: ["ReadWriteOnce"] } },
      undefined,
      { type: "status", status: { phase: "Lost" } },
    ],
  );
});

test("planClaim lets a deleted claim go when no pod uses it", () => {
  const deleted = claim({}, { deletionTimestamp: "2026-01-01T00:00:00Z" });
  assert.deepEqual(
    [planClaim(deleted, around({ pods: [pod("n1")] })), planClaim(deleted, around({ pods: [pod("n1", "Failed")] }))],
    [undefined, { type: "finalizers", finalizers: [] }],
  );
});

test("planVolume follows its claim, and goes when its folder went", () => {
  const nodeAffinity = {
    required: {
      nodeSelectorTerms: [{ matchExpressions: [{ key: "kubernetes.io/hostname", operator: "In", values: ["n1"] }] }],
    },
  };
  const made = volume("pvc-u1", {
    nodeAffinity,
    claimRef,
    csi: { driver: localDriver, volumeHandle: "pvc-u1" },
    persistentVolumeReclaimPolicy: "Delete",
  });
  const deleted = {
    ...made,
    metadata: { name: "pvc-u1", deletionTimestamp: "2026-01-01T00:00:00Z", finalizers: [localVolumeFinalizer] },
  };
  const node = (volumesInUse: readonly string[], name = "n1"): Node => ({
    metadata: { name },
    status: { volumesInUse },
  });
  assert.deepEqual(
    [
      planVolume(volume("free"), undefined, []),
      planVolume(made, claim(), []),
      planVolume(made, undefined, []),
      planVolume(made, claim({}, { uid: "another" }), []),
      planVolume({ ...made, spec: { ...made.spec, persistentVolumeReclaimPolicy: "Retain" } }, undefined, []),
      planVolume(deleted, undefined, [node([volumeInUse("pvc-u1")])]),
      planVolume(deleted, undefined, [node([])]),
      planVolume(deleted, undefined, [node([volumeRemoved("pvc-u1")]), node([], "n2")]),
      planVolume(deleted, undefined, []),
    ],
    [
      { type: "status", phase: "Available" },
      { type: "status", phase: "Bound" },
      { type: "delete" },
      { type: "delete" },
      { type: "status", phase: "Released" },
      undefined,
      undefined,
      { type: "finalizers", finalizers: [] },
      { type: "finalizers", finalizers: [] },
    ],
  );
});
