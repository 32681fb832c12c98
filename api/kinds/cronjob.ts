// What a CronJob does beyond its schema.
import { isTimeZone, parseSchedule } from "../../lib/cron.ts";
import { ageColumn, column, containerColumns, nameColumn, numberColumn, wide } from "./columns.ts";
import { cronjobs } from "./generated/resources.ts";
import type { CronJob, CronJobSpec } from "./generated/types.ts";
import { jobSpecDefaults } from "./job.ts";
import { jobSpecErrors } from "./job-validate.ts";
import type { FieldError, Kind } from "./kind.ts";
import { validateLabels, validateMetadata } from "./metadata.ts";
import { unsupportedPodFields } from "./pod-unsupported.ts";
import { atLeast } from "./pod-validate.ts";
import { forbidden, invalid, oneOf, required } from "./schema/field-error.ts";
import { fill } from "./schema/fill.ts";
import { ageOf } from "./schema/human-age.ts";
import { dns1123Subdomain } from "./schema/names.ts";
import { selectorText } from "./selector-text.ts";
import { keepStatus } from "./status-field.ts";

/** The time in minutes is put behind it for each Job: "-" and ten digits. */
const nameCharsMax = 52;

export const cronjobKind: Kind<CronJob> = {
  resource: cronjobs,
  columns: [
    nameColumn,
    column("Schedule", "When it starts Jobs.", (cron) => cron.spec?.schedule ?? ""),
    column("Timezone", "Where its clock hangs.", (cron) => cron.spec?.timeZone ?? "<none>"),
    column("Suspend", "Whether it waits.", (cron) => (cron.spec?.suspend === true ? "True" : "False")),
    numberColumn("Active", "Jobs that run.", (cron) => cron.status?.active?.length),
    column("Last Schedule", "Time since it last started one.", (cron, nowMs) =>
      cron.status?.lastScheduleTime === undefined ? "<none>" : ageOf(cron.status.lastScheduleTime, nowMs),
    ),
    ageColumn,
    ...containerColumns<CronJob>((cron) => cron.spec?.jobTemplate?.spec?.template.spec?.containers ?? []),
    wide("Selector", "Labels that its pods have.", (cron) => selectorText(cron.spec?.jobTemplate?.spec?.selector)),
  ],
  selectableFields: {},
  defaults: (cron) => (cron.spec === undefined ? cron : { ...cron, spec: specDefaults(cron.spec) }),
  prepareCreate: (cron) => ({ ...cron, status: {} }),
  prepareUpdate: keepStatus,
  validate: (cron) => [
    ...validateMetadata(cron, (name) => [
      ...dns1123Subdomain(name),
      ...(name.length > nameCharsMax ? [`must be no more than ${nameCharsMax} characters`] : []),
    ]),
    ...(cron.spec === undefined ? [required("spec")] : specErrors(cron.spec)),
  ],
  unsupportedFields: unsupportedPodFields("jobTemplate.spec.template.spec"),
};

function specDefaults(spec: CronJobSpec): CronJobSpec {
  const { jobTemplate } = spec;
  return {
    ...fill(spec, {
      concurrencyPolicy: "Allow",
      suspend: false,
      successfulJobsHistoryLimit: 3,
      failedJobsHistoryLimit: 1,
    }),
    ...(jobTemplate?.spec === undefined
      ? {}
      : { jobTemplate: { ...jobTemplate, spec: jobSpecDefaults(jobTemplate.spec) } }),
  };
}

function specErrors(spec: CronJobSpec): readonly FieldError[] {
  const template = spec.jobTemplate?.spec;
  return [
    ...scheduleErrors(spec),
    ...oneOf("spec.concurrencyPolicy", spec.concurrencyPolicy, ["Allow", "Forbid", "Replace"]),
    ...atLeast("spec.startingDeadlineSeconds", spec.startingDeadlineSeconds, 0),
    ...atLeast("spec.successfulJobsHistoryLimit", spec.successfulJobsHistoryLimit, 0),
    ...atLeast("spec.failedJobsHistoryLimit", spec.failedJobsHistoryLimit, 0),
    ...validateLabels("spec.jobTemplate.metadata.labels", spec.jobTemplate?.metadata?.labels),
    ...(template === undefined
      ? [required("spec.jobTemplate.spec")]
      : [
          ...jobSpecErrors(template, "spec.jobTemplate.spec"),
          ...(template.manualSelector === true
            ? [forbidden("spec.jobTemplate.spec.manualSelector", "cannot be set in the template of a CronJob")]
            : []),
        ]),
  ];
}

function scheduleErrors({ schedule, timeZone }: CronJobSpec): readonly FieldError[] {
  if (schedule === "") return [required("spec.schedule")];
  const isKnownZone = timeZone === undefined || (timeZone !== "Local" && isTimeZone(timeZone));
  const parsed = parseSchedule(schedule, isKnownZone ? timeZone : undefined);
  return [
    ...(typeof parsed === "string" ? [invalid("spec.schedule", schedule, parsed)] : []),
    ...(isKnownZone ? [] : [invalid("spec.timeZone", timeZone, `unknown time zone ${timeZone}`)]),
  ];
}
