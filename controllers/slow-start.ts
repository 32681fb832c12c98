// Many jobs of one kind: a few first, and twice as many each time that all went well. What is bound to fail, such as pods beyond a
// quota, fails a few times and not hundreds of times. Source: Kubernetes' ReplicaSet controller, slowStartBatch.

/** Runs up to `count` jobs in batches of 1, 2, 4 …; ends after the first batch with a failure, and gives what failed first. */
export async function slowStart(count: number, job: () => Promise<void>): Promise<{ readonly failure?: Error }> {
  for (let done = 0, size = 1; done < count; done += size, size *= 2) {
    const jobs = Array.from({ length: Math.min(size, count - done) }, job);
    const failed = (await Promise.allSettled(jobs)).find((outcome) => outcome.status === "rejected");
    if (failed !== undefined) return { failure: failed.reason };
  }
  return {};
}
