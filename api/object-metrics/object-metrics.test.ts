import assert from "node:assert/strict";
import { test } from "node:test";
import type { Deployment, Node, Pod } from "../kinds/generated/types.ts";
import { cronJobFamilies, daemonSetFamilies, jobFamilies } from "./batch.ts";
import { deploymentFamilies } from "./deployments.ts";
import { type Family, printHead, printSamples } from "./family.ts";
import { nodeFamilies } from "./nodes.ts";
import { podFamilies } from "./pods.ts";

/** The samples that are not 0. */
function samples<T>(families: readonly Family<T>[], object: T): readonly string[] {
  const lines = families.flatMap((family) => printSamples(family, [object]).split("\n"));
  return lines.filter((line) => line !== "" && !line.endsWith(" 0"));
}

test("printHead and printSamples print help, type and escaped labels", () => {
  const family: Family<string> = { name: "a_b", help: "What.", type: "gauge", samples: (text) => [[{ text }, 1.5]] };
  assert.equal(
    printHead(family) + printSamples(family, ['say "a\\b"\nagain', ""]),
    '# HELP a_b What.\n# TYPE a_b gauge\na_b{text="say \\"a\\\\b\\"\\nagain"} 1.5\na_b{text=""} 1.5\n',
  );
});

test("nodeFamilies tell a node's conditions and amounts", () => {
  const node: Node = {
    metadata: { name: "n1" },
    spec: { unschedulable: true },
    status: {
      capacity: { cpu: "1500m", memory: "1Ki", pods: "110", "hugepages-2Mi": "2Mi" },
      conditions: [{ type: "Ready", status: "Unknown" }],
    },
  };
  assert.deepEqual(samples(nodeFamilies, node), [
    'kube_node_info{node="n1",kernel_version="",os_image="",container_runtime_version="",kubelet_version="",internal_ip="",pod_cidr=""} 1',
    'kube_node_status_condition{node="n1",condition="Ready",status="unknown"} 1',
    'kube_node_spec_unschedulable{node="n1"} 1',
    'kube_node_status_capacity{node="n1",resource="cpu",unit="core"} 1.5',
    'kube_node_status_capacity{node="n1",resource="memory",unit="byte"} 1024',
    'kube_node_status_capacity{node="n1",resource="pods",unit="integer"} 110',
    'kube_node_status_capacity{node="n1",resource="hugepages_2Mi",unit="byte"} 2097152',
  ]);
});

test("deploymentFamilies tell wanted and present replicas", () => {
  const deployment: Deployment = {
    metadata: { name: "web", namespace: "shop", generation: 3 },
    spec: { replicas: 3, selector: {}, template: {} },
    status: {
      replicas: 2,
      availableReplicas: 1,
      unavailableReplicas: 2,
      conditions: [{ type: "Available", status: "False" }],
    },
  };
  const web = 'namespace="shop",deployment="web"';
  assert.deepEqual(samples(deploymentFamilies, deployment), [
    `kube_deployment_spec_replicas{${web}} 3`,
    `kube_deployment_status_replicas{${web}} 2`,
    `kube_deployment_status_replicas_available{${web}} 1`,
    `kube_deployment_status_replicas_unavailable{${web}} 2`,
    `kube_deployment_metadata_generation{${web}} 3`,
    `kube_deployment_status_condition{${web},condition="Available",status="false"} 1`,
  ]);
});

test("podFamilies tell a pod's phase, restarts, reasons and amounts", () => {
  const pod: Pod = {
    metadata: { name: "p", namespace: "shop", uid: "u" },
    spec: { nodeName: "n1", containers: [{ name: "c", resources: { limits: { memory: "1Mi" } } }] },
    status: {
      phase: "Running",
      podIP: "10.244.0.2",
      conditions: [{ type: "Ready", status: "False" }],
      containerStatuses: [
        {
          name: "c",
          image: "i",
          imageID: "",
          ready: false,
          restartCount: 7,
          state: { waiting: { reason: "CrashLoopBackOff" } },
          lastState: { terminated: { exitCode: 137, reason: "OOMKilled" } },
        },
      ],
    },
  };
  const p = 'namespace="shop",pod="p",uid="u"';
  assert.deepEqual(samples(podFamilies, pod), [
    `kube_pod_info{${p},node="n1",pod_ip="10.244.0.2",host_ip="",created_by_kind="",created_by_name=""} 1`,
    `kube_pod_status_phase{${p},phase="Running"} 1`,
    `kube_pod_status_ready{${p},condition="false"} 1`,
    `kube_pod_status_scheduled{${p},condition="true"} 1`,
    `kube_pod_container_status_restarts_total{${p},container="c"} 7`,
    `kube_pod_container_status_waiting_reason{${p},container="c",reason="CrashLoopBackOff"} 1`,
    `kube_pod_container_status_last_terminated_reason{${p},container="c",reason="OOMKilled"} 1`,
    `kube_pod_container_resource_limits{${p},container="c",node="n1",resource="memory",unit="byte"} 1048576`,
  ]);
});

test("daemonSetFamilies, jobFamilies and cronJobFamilies tell how far each is", () => {
  const metadata = { name: "one", namespace: "shop" };
  const counts = { desiredNumberScheduled: 3, currentNumberScheduled: 2, numberMisscheduled: 0, numberReady: 1 };
  const conditions = [{ type: "Complete", status: "True" }];
  const startTime = "2026-01-01T00:00:00Z";
  assert.deepEqual(
    [
      samples(daemonSetFamilies, { metadata, status: counts }),
      samples(jobFamilies, { metadata, status: { startTime, succeeded: 2, conditions } }),
      samples(cronJobFamilies, {
        metadata,
        spec: { schedule: "@daily", jobTemplate: {} },
        status: { lastScheduleTime: startTime },
      }),
    ],
    [
      [
        'kube_daemonset_status_desired_number_scheduled{namespace="shop",daemonset="one"} 3',
        'kube_daemonset_status_current_number_scheduled{namespace="shop",daemonset="one"} 2',
        'kube_daemonset_status_number_ready{namespace="shop",daemonset="one"} 1',
      ],
      [
        'kube_job_status_succeeded{namespace="shop",job_name="one"} 2',
        'kube_job_complete{namespace="shop",job_name="one"} 1',
        'kube_job_status_start_time{namespace="shop",job_name="one"} 1767225600',
      ],
      ['kube_cronjob_status_last_schedule_time{namespace="shop",cronjob="one"} 1767225600'],
    ],
  );
});
