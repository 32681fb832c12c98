// Fields of a service about processors, memory and processes.
import type { ServiceDraft } from "../draft.ts";
import type { Node } from "../nodes.ts";
import { type Field, type Fields, type Reader, without } from "../read.ts";

export const resourceFields: Fields<ServiceDraft> = {
  cpus: (draft, node, reader) => setCpu(draft.limits, node, reader, "cpus"),
  mem_limit: (draft, node, reader) => setMemory(draft.limits, node, reader, "mem_limit"),
  mem_reservation: (draft, node, reader) => setMemory(draft.requests, node, reader, "mem_reservation"),
  shm_size: (draft, node, reader) => {
    const bytes = reader.bytes(node, "shm_size");
    if (bytes === undefined) return;
    draft.volumes.push({ name: "shm", emptyDir: { medium: "Memory", sizeLimit: String(bytes) } });
    draft.mounts.push({ name: "shm", mountPath: "/dev/shm" });
  },
  cpu_shares: without("say what to reserve: deploy.resources.reservations.cpus"),
  cpu_quota: without("say the limit as cpus"),
  cpu_period: without("say the limit as cpus"),
  cpu_count: without("say the limit as cpus"),
  cpu_percent: without("say the limit as cpus"),
  cpu_rt_runtime: without("there is no realtime scheduling"),
  cpu_rt_period: without("there is no realtime scheduling"),
  cpuset: without("the node gives processors"),
  memswap_limit: without("containers do not swap"),
  mem_swappiness: without("containers do not swap"),
  pids_limit: without("the node limits each pod's processes"),
  blkio_config: without("disks are not shared out by weight"),
  gpus: without("there are no devices to hand out"),
  storage_opt: without("say a limit of the pod's ephemeral-storage"),
};

/** deploy.resources */
export const resourcesField: Field<ServiceDraft> = (draft, node, reader) => {
  reader.fields<ServiceDraft>(
    node,
    "deploy.resources",
    { limits: amounts("limits"), reservations: amounts("requests") },
    draft,
  );
};

function amounts(side: "limits" | "requests"): Field<ServiceDraft> {
  return (draft, node, reader, key) =>
    reader.fields<ServiceDraft>(
      node,
      `deploy.resources.${key}`,
      {
        cpus: (_, value) => setCpu(draft[side], value, reader, "cpus"),
        memory: (_, value) => setMemory(draft[side], value, reader, "memory"),
        pids: without("the node limits each pod's processes"),
        devices: without("there are no devices to hand out"),
        generic_resources: without("there are no such resources"),
      },
      draft,
    );
}

function setCpu(amounts: Record<string, string>, node: Node, reader: Reader, what: string): void {
  const cpus = reader.number(node, what);
  if (cpus !== undefined && cpus > 0) amounts["cpu"] = `${Math.round(cpus * 1000)}m`;
}

function setMemory(amounts: Record<string, string>, node: Node, reader: Reader, what: string): void {
  const bytes = reader.bytes(node, what);
  if (bytes !== undefined && bytes > 0) amounts["memory"] = String(bytes);
}
