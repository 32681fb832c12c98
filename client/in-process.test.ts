// The client of those who share a process with the API.
import assert from "node:assert/strict";
import { test } from "node:test";
import { componentUser } from "../api/authentication/user.ts";
import { cronjobs, deployments, jobs, pods } from "../api/kinds/generated/resources.ts";
import type { CronJob, Deployment, Job, Pod } from "../api/kinds/generated/types.ts";
import { openTestApi } from "../test/api.ts";
import { inProcessClient } from "./in-process.ts";

test("inProcessClient changes a status and nothing else, also of kinds that cannot be without a spec", async () => {
  await using opened = await openTestApi();
  const client = inProcessClient({ verbs: opened.api.verbs, user: componentUser("test") });
  const metadata = { name: "a", namespace: "default" };
  const template = (restartPolicy: string) => ({
    metadata: { labels: { app: "a" } },
    spec: { restartPolicy, containers: [{ name: "c", image: "i" }] },
  });
  const cron: CronJob = {
    metadata,
    spec: { schedule: "0 0 1 1 *", jobTemplate: { spec: { template: template("Never") } } },
  };
  const job: Job = { metadata, spec: { template: template("Never") } };
  const deployment: Deployment = {
    metadata,
    spec: { selector: { matchLabels: { app: "a" } }, template: template("Always") },
  };
  const pod: Pod = { metadata, spec: template("Always").spec };
  const made = [
    await client.create(cronjobs, cron),
    await client.create(jobs, job),
    await client.create(deployments, deployment),
    await client.create(pods, pod),
  ] as const;
  const time = "2026-01-02T03:04:05Z";
  const changed = [
    await client.updateStatus(cronjobs, { ...made[0], status: { lastSuccessfulTime: time } }),
    await client.updateStatus(jobs, { ...made[1], status: { startTime: time } }),
    await client.updateStatus(deployments, { ...made[2], status: { replicas: 3 } }),
    await client.updateStatus(pods, { ...made[3], status: { phase: "Running" } }),
  ];
  assert.deepEqual(
    changed.map(({ spec }) => spec),
    made.map(({ spec }) => spec),
  );
  assert.deepEqual(
    changed.map(({ status }) => Object.entries(status ?? {}).slice(0, 1)),
    [[["lastSuccessfulTime", time]], [["startTime", time]], [["replicas", 3]], [["phase", "Running"]]],
  );
  // Whole objects are held to their schema as before.
  const { spec: _, ...without } = made[0];
  await assert.rejects(client.update(cronjobs, without), /spec: Required value/);
});
