// What Prometheus learns of DaemonSets, Jobs and CronJobs, by the names that kube-state-metrics has for it.
import type { CronJob, DaemonSet, DaemonSetStatus, Job } from "../kinds/generated/types.ts";
import { finishedAs } from "../kinds/job.ts";
import type { KubeObject } from "../kinds/resource.ts";
import type { Family } from "./family.ts";

type Read<T> = (object: T) => number | undefined;

/** A gauge of one number an object; none where there is no number. */
function gauges<T extends KubeObject>(label: string): (name: string, help: string, read: Read<T>) => Family<T> {
  return (name, help, read) => ({
    name,
    help,
    type: "gauge",
    samples: (object) => {
      const value = read(object);
      const labels = { namespace: object.metadata?.namespace ?? "", [label]: object.metadata?.name ?? "" };
      return value === undefined ? [] : [[labels, value]];
    },
  });
}

const ofSet = gauges<DaemonSet>("daemonset");
const status = (field: Exclude<keyof DaemonSetStatus, "conditions">) => (set: DaemonSet) => set.status?.[field] ?? 0;

export const daemonSetFamilies: readonly Family<DaemonSet>[] = [
  ofSet(
    "kube_daemonset_status_desired_number_scheduled",
    "Nodes that should have a pod.",
    status("desiredNumberScheduled"),
  ),
  ofSet("kube_daemonset_status_current_number_scheduled", "Nodes that have one.", status("currentNumberScheduled")),
  ofSet(
    "kube_daemonset_status_number_misscheduled",
    "Nodes that have one and should not.",
    status("numberMisscheduled"),
  ),
  ofSet("kube_daemonset_status_number_ready", "Nodes whose pod is Ready.", status("numberReady")),
  ofSet(
    "kube_daemonset_status_number_available",
    "Nodes whose pod has been Ready for long enough.",
    status("numberAvailable"),
  ),
  ofSet(
    "kube_daemonset_status_number_unavailable",
    "Nodes whose pod is missing or not available.",
    status("numberUnavailable"),
  ),
  ofSet(
    "kube_daemonset_status_updated_number_scheduled",
    "Nodes with a pod of the newest template.",
    status("updatedNumberScheduled"),
  ),
  ofSet(
    "kube_daemonset_metadata_generation",
    "Changes of what is wanted.",
    ({ metadata }) => metadata?.generation ?? 0,
  ),
  ofSet(
    "kube_daemonset_status_observed_generation",
    "The newest change that was acted on.",
    status("observedGeneration"),
  ),
];

const ofJob = gauges<Job>("job_name");
const seconds = (time: string | undefined) => (time === undefined ? undefined : Date.parse(time) / 1000);
const ended = (type: "Complete" | "Failed") => (job: Job) => (finishedAs(job) === type ? 1 : 0);

export const jobFamilies: readonly Family<Job>[] = [
  ofJob("kube_job_spec_completions", "Pods that have to succeed.", ({ spec }) => spec?.completions),
  ofJob("kube_job_spec_parallelism", "Pods that may run at once.", ({ spec }) => spec?.parallelism),
  ofJob("kube_job_status_active", "Pods that run or wait to.", (job) => job.status?.active ?? 0),
  ofJob("kube_job_status_succeeded", "Pods that have succeeded.", (job) => job.status?.succeeded ?? 0),
  ofJob("kube_job_status_failed", "Pods that have failed.", (job) => job.status?.failed ?? 0),
  ofJob("kube_job_complete", "Whether enough have succeeded.", ended("Complete")),
  ofJob("kube_job_failed", "Whether it was given up.", ended("Failed")),
  ofJob("kube_job_status_start_time", "When it began, Unix time.", (job) => seconds(job.status?.startTime)),
  ofJob("kube_job_status_completion_time", "When it succeeded, Unix time.", (job) =>
    seconds(job.status?.completionTime),
  ),
];

const ofCron = gauges<CronJob>("cronjob");

export const cronJobFamilies: readonly Family<CronJob>[] = [
  ofCron("kube_cronjob_spec_suspend", "Whether it waits.", ({ spec }) => (spec?.suspend === true ? 1 : 0)),
  ofCron("kube_cronjob_status_active", "Jobs that run.", (cron) => cron.status?.active?.length ?? 0),
  ofCron("kube_cronjob_status_last_schedule_time", "When one was last due and started, Unix time.", (cron) =>
    seconds(cron.status?.lastScheduleTime),
  ),
  ofCron("kube_cronjob_status_last_successful_time", "When one last succeeded, Unix time.", (cron) =>
    seconds(cron.status?.lastSuccessfulTime),
  ),
];
