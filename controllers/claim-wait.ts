// Why a claim has no volume yet, in Kubernetes' words where it has some. Pure.
import type { StorageClass } from "../api/kinds/generated/types.ts";
import { localDriver } from "../api/kinds/local-volume.ts";

export interface ClaimWait {
  readonly type: "wait";
  readonly severity: "Normal" | "Warning";
  readonly reason: string;
  readonly message: string;
}

/** `storageClass`: what the cluster has of the name; undefined: nothing. */
export function claimWait(className: string, storageClass: StorageClass | undefined): ClaimWait {
  if (className === "")
    return {
      ...{ type: "wait", severity: "Normal", reason: "FailedBinding" },
      message: "no persistent volumes available for this claim and no storage class is set",
    };
  if (storageClass === undefined)
    return {
      ...{ type: "wait", severity: "Warning", reason: "ProvisioningFailed" },
      message: `storageclass.storage.k8s.io "${className}" not found`,
    };
  if (storageClass.provisioner === localDriver)
    return {
      ...{ type: "wait", severity: "Normal", reason: "WaitForFirstConsumer" },
      message: "waiting for first consumer to be created before binding",
    };
  return {
    ...{ type: "wait", severity: "Normal", reason: "ExternalProvisioning" },
    message: `waiting for a volume of class ${className} that fits: nothing here makes one, its provisioner is ${storageClass.provisioner}`,
  };
}
