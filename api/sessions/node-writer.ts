// Brings Node objects and their leases to what the sessions know, one write at a time per node.
import type { Client } from "../../client/client.ts";
import { type Clock, microTimestamp } from "../../lib/clock.ts";
import type { Logger } from "../../lib/log.ts";
import type { Random } from "../../lib/random.ts";
import { leases, namespaces, nodes } from "../kinds/generated/resources.ts";
import type { Lease, Node } from "../kinds/generated/types.ts";
import { isReason } from "../kinds/status.ts";
import { openKeyedWork } from "./keyed-work.ts";
import { type NodeStep, type NodeWanted, planNode } from "./node-object.ts";

export interface NodeWriter {
  /** What is wanted of this node may have changed. */
  sync(node: string): void;
  renewLease(node: string): void;
  /** The Node object is gone. */
  forget(node: string): void;
  /** The Node as last seen or written, whichever is newer. */
  latest(node: string): Node | undefined;
  close(): void;
}

export interface NodeWriterParts {
  readonly client: Client;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly wanted: (node: string) => NodeWanted | undefined;
  readonly observed: (node: string) => Node | undefined;
}

const leaseNamespace = "kube-node-lease";
const leaseDurationSeconds = 40;
const writesMax = 8;

export function openNodeWriter(parts: NodeWriterParts): NodeWriter {
  const { client, clock, random, log, wanted, observed } = parts;
  const written = new Map<string, Node>();
  const heldLeases = new Map<string, Lease>();
  const closing = new AbortController();
  const { signal } = closing;

  const latest = (name: string): Node | undefined => newer(observed(name), written.get(name));

  const perform = (step: NodeStep): Promise<Node> => {
    switch (step.type) {
      case "create":
        return client.create(nodes, step.node, signal);
      case "update":
        return client.update(nodes, step.node, signal);
      case "updateStatus":
        return client.updateStatus(nodes, step.node, signal);
    }
  };

  const nodeWork = openKeyedWork({
    clock,
    random,
    concurrency: 32,
    onError: (node, error) => log.warn({ node, error: String(error) }, "node not written yet"),
    run: async (name) => {
      let present = latest(name);
      for (let writes = 0; writes < writesMax; writes++) {
        const want = wanted(name);
        const step = want === undefined ? undefined : planNode(want, present, clock.now());
        if (step === undefined) return;
        try {
          present = await perform(step);
          written.set(name, present);
        } catch (error) {
          if (!isReason(error, "Conflict", "AlreadyExists", "NotFound")) throw error;
          present = await client.get(nodes, { name }, signal).catch((error) => {
            if (!isReason(error, "NotFound")) throw error;
            return undefined;
          });
          if (present === undefined) written.delete(name);
          else written.set(name, present);
        }
      }
      throw new Error(`node differs from what is wanted after ${writesMax} writes`);
    },
  });

  const leaseWork = openKeyedWork({
    clock,
    random,
    concurrency: 32,
    onError: (node, error) => log.warn({ node, error: String(error) }, "lease not renewed yet"),
    run: async (name) => {
      const renewTime = microTimestamp(clock.now());
      const spec = { holderIdentity: name, leaseDurationSeconds, renewTime };
      const held = heldLeases.get(name);
      if (held !== undefined) {
        const renewed = await client.update(leases, { ...held, spec }, signal).catch((error) => {
          if (!isReason(error, "Conflict", "NotFound")) throw error;
          return undefined;
        });
        if (renewed === undefined) heldLeases.delete(name);
        else heldLeases.set(name, renewed);
        if (renewed !== undefined) return;
      }
      heldLeases.set(name, await takeLease(name, spec));
    },
  });

  const takeLease = async (name: string, spec: NonNullable<Lease["spec"]>): Promise<Lease> => {
    const uid = latest(name)?.metadata?.uid;
    const ownerReferences = uid === undefined ? [] : [{ apiVersion: "v1", kind: "Node", name, uid }];
    const metadata = { namespace: leaseNamespace, name, ownerReferences };
    const lease: Lease = { apiVersion: "coordination.k8s.io/v1", kind: "Lease", metadata, spec };
    try {
      return await client.create(leases, lease, signal);
    } catch (error) {
      if (isReason(error, "AlreadyExists")) {
        const present = await client.get(leases, metadata, signal);
        return await client.update(leases, { ...present, spec }, signal);
      }
      if (!isReason(error, "NotFound")) throw error;
      await client.create(
        namespaces,
        { apiVersion: "v1", kind: "Namespace", metadata: { name: leaseNamespace } },
        signal,
      );
      return await client.create(leases, lease, signal);
    }
  };

  return {
    sync: nodeWork.add,
    renewLease: leaseWork.add,
    forget: (name) => {
      written.delete(name);
      heldLeases.delete(name);
    },
    latest,
    close: () => {
      closing.abort(new Error("the server stops"));
      nodeWork.close();
      leaseWork.close();
    },
  };
}

function newer(a: Node | undefined, b: Node | undefined): Node | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return Number(b.metadata?.resourceVersion ?? 0) > Number(a.metadata?.resourceVersion ?? 0) ? b : a;
}
