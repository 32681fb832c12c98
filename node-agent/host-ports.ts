// Which ports of the node a pod's containers ask for. Pure.
import type { Pod } from "../api/kinds/generated/types.ts";
import type { HostPort } from "./network/host-ports.ts";

/** Of containers that stay; in the node's own network a port is the node's anyway. */
export function hostPortsOf({ pod: { spec }, uid }: { readonly pod: Pod; readonly uid: string }): readonly HostPort[] {
  if (spec === undefined || spec.hostNetwork === true) return [];
  const sidecars = (spec.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === "Always");
  return [...sidecars, ...spec.containers].flatMap(({ ports = [] }) =>
    ports
      .filter(({ hostPort = 0 }) => hostPort > 0)
      .map(({ hostIP = "", hostPort = 0, protocol = "TCP", containerPort }) => ({
        podUid: uid,
        hostIp: hostIP,
        hostPort,
        protocol,
        containerPort,
      })),
  );
}
