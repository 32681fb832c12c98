// Pods of shell scripts: one cluster for a test file, pods told by what their containers do, and questions about them.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { pods } from "../../api/kinds/generated/resources.ts";
import type { Container, ContainerStatus, Pod, PodSpec } from "../../api/kinds/generated/types.ts";
import { startCluster, type TestCluster } from "./cluster.ts";
import { archiveOf, probeImage } from "./probe-image.ts";
import { done, until } from "./questions.ts";
import { shellImage } from "./shell-image.ts";

const image = "naru.local/shell:1";

/** One node, with the shell's image and the probe's. */
export async function startShellCluster(args: readonly string[] = []): Promise<TestCluster> {
  const cluster = await startCluster({ nodes: 1, args });
  try {
    await importImages(cluster);
  } catch (error) {
    await cluster[Symbol.asyncDispose]();
    throw error;
  }
  return cluster;
}

async function importImages(cluster: TestCluster): Promise<void> {
  const images = { [image]: await shellImage(), "naru.local/probe:1": await probeImage() };
  for (const [name, built] of Object.entries(images)) {
    const path = join(cluster.place.dataDir, "image.tar");
    writeFileSync(path, await archiveOf(built, [name]));
    done(await cluster.naru(["image", "import", path]));
  }
}

/** A container that runs a script. */
export function shell(name: string, script: string, more: Partial<Container> = {}): Container {
  return { name, image, command: ["sh", "-c", script], ...more };
}

export function podOf(name: string, containers: readonly Container[], spec: Partial<PodSpec> = {}): Pod {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, labels: { app: name } },
    spec: { terminationGracePeriodSeconds: 1, containers, ...spec },
  };
}

/** Through kubectl, as users do, with its strict validation. */
export async function applyPods(cluster: TestCluster, ...objects: readonly object[]): Promise<void> {
  const input = JSON.stringify({ apiVersion: "v1", kind: "List", items: objects });
  done(await cluster.kubectl("new", ["apply", "-f", "-"], { input }));
}

export function getPod({ client }: TestCluster, name: string): Promise<Pod> {
  return client.get(pods, { namespace: "default", name });
}

/** Asks until `accept` finds what it looks for in the pod. */
export function untilPod<T>(
  cluster: TestCluster,
  name: string,
  { what, accept }: { readonly what: string; readonly accept: (pod: Pod) => T | undefined },
): Promise<T> {
  return until(`${name} ${what}`, async () => accept(await getPod(cluster, name)));
}

/** Resolves with the pod once it has ended. */
export function untilEnded(cluster: TestCluster, name: string): Promise<Pod> {
  return untilPod(cluster, name, {
    what: "has ended",
    accept: (pod) => (["Succeeded", "Failed"].includes(pod.status?.phase ?? "") ? pod : undefined),
  });
}

export function untilConditions(
  cluster: TestCluster,
  name: string,
  wanted: Readonly<Record<string, string>>,
): Promise<Pod> {
  return untilPod(cluster, name, {
    what: `has ${JSON.stringify(wanted)}`,
    accept: (pod) => {
      const found = pod.status?.conditions ?? [];
      const holds = ([type, status]: readonly [string, string]) =>
        found.some((condition) => condition.type === type && condition.status === status);
      return Object.entries(wanted).every(holds) ? pod : undefined;
    },
  });
}

export function statusOf(pod: Pod, container: string): ContainerStatus | undefined {
  const { containerStatuses = [], initContainerStatuses = [], ephemeralContainerStatuses = [] } = pod.status ?? {};
  const all = [...containerStatuses, ...initContainerStatuses, ...ephemeralContainerStatuses];
  return all.find(({ name }) => name === container);
}

/** What a container has written, once it has written what `accept` wants. */
export async function untilLogged(
  cluster: TestCluster,
  [pod, container]: readonly [string, string],
  accept: (text: string) => boolean,
): Promise<string> {
  return until(`log of ${pod}/${container}`, async () => {
    const text = done(await cluster.kubectl("new", ["logs", pod, "-c", container]));
    return accept(text) ? text : undefined;
  });
}

/** Reasons of the Events about a pod, each once. */
export async function eventReasons(cluster: TestCluster, pod: string): Promise<readonly string[]> {
  const args = ["get", "events", "--field-selector", `involvedObject.name=${pod}`, "-o", "jsonpath={.items[*].reason}"];
  return [...new Set(done(await cluster.kubectl("new", args)).split(" "))];
}
