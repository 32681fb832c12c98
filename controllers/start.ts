// All controllers, begun together once everything they read is known.
import { type ControllerOptions, createContext, type StartController, startInformers } from "./context.ts";
import { startCronJobController } from "./cronjob.ts";
import { startDaemonSetController } from "./daemonset.ts";
import { startDeploymentController } from "./deployment.ts";
import { startEndpointSliceController } from "./endpointslice.ts";
import { startGarbageCollector } from "./garbage.ts";
import { startJobController } from "./job.ts";
import { startLoadBalancerController } from "./load-balancer.ts";
import { startNamespaceController } from "./namespace.ts";
import { startNodeLifecycleController } from "./node-lifecycle.ts";
import { startNodeRangeController } from "./node-range.ts";
import { startPersistentVolumeController } from "./persistent-volume.ts";
import { startRegistryController } from "./registry.ts";
import { startReplicaSetController } from "./replicaset.ts";
import { startRootCaController } from "./root-ca.ts";
import { startServiceAccountController } from "./serviceaccount.ts";
import { startStartOrderController } from "./start-order.ts";

const controllers: readonly StartController[] = [
  startNamespaceController,
  startServiceAccountController,
  startRootCaController,
  startNodeRangeController,
  startNodeLifecycleController,
  startDeploymentController,
  startReplicaSetController,
  startDaemonSetController,
  startJobController,
  startCronJobController,
  startEndpointSliceController,
  startLoadBalancerController,
  startRegistryController,
  startPersistentVolumeController,
  startStartOrderController,
  startGarbageCollector,
];

export async function startControllers(options: ControllerOptions): Promise<AsyncDisposable> {
  const informers = startInformers(options);
  await Promise.all(Object.values(informers).map((informer) => informer.whenSynced));
  const context = createContext(options, informers);
  const running = controllers.map((start) => start(context));
  return {
    [Symbol.asyncDispose]: async () => {
      await Promise.all(running.map((controller) => controller[Symbol.asyncDispose]()));
      await Promise.all(Object.values(informers).map((informer) => informer[Symbol.asyncDispose]()));
    },
  };
}
