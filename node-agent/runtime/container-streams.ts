// The streams of a container: those of another process in it, and those of its own. Each is a connection to the launcher.
import type { ContainerCgroups } from "./container-cgroups.ts";
import type { ContainerEntries } from "./container-entries.ts";
import { asLaunchError } from "./launch-errors.ts";
import type { LauncherProcess } from "./launcher-process.ts";
import type { OciRuntimes } from "./oci-runtimes.ts";
import { planExec } from "./plan.ts";
import type { ExecRequest, ProcessStreams } from "./runtime.ts";
import type { SeccompFilters } from "./seccomp-filters.ts";
import { openStreams } from "./streams.ts";

export interface StreamParts {
  readonly entries: ContainerEntries;
  readonly launcher: LauncherProcess;
  readonly oci: OciRuntimes;
  readonly cgroups: ContainerCgroups;
  readonly seccomp: SeccompFilters;
}

/** Resolves once the program runs; rejects with LaunchError. */
export async function execInContainer(
  { entries, launcher, oci, cgroups, seccomp }: StreamParts,
  { id, request }: { readonly id: string; readonly request: ExecRequest },
  signal?: AbortSignal,
): Promise<ProcessStreams> {
  const { spec, process: target } = entries.running(id);
  const delegated = oci.planExec(spec, entries.directoryOf(id), request);
  const ops =
    delegated?.ops ??
    planExec(spec, target, request, { cgroup: cgroups.plan(spec), seccompFilter: seccomp.filterOf(spec) });
  await launcher.client();
  const streams = openStreams(
    launcher.socketPath,
    {
      op: "exec",
      args: ops,
      stdin: request.stdin,
      terminal: request.terminal,
      // Its monitor kills it when the connection ends, and dies with it.
      lostExitCode: () => Promise.resolve(137),
    },
    signal,
  );
  return streams
    .catch((error: unknown) => {
      throw asLaunchError(error, ops);
    })
    .finally(() => delegated?.done());
}

export async function attachToContainer(
  { entries, launcher }: StreamParts,
  id: string,
  signal?: AbortSignal,
): Promise<ProcessStreams> {
  const { spec } = entries.running(id);
  await launcher.client();
  return openStreams(
    launcher.socketPath,
    {
      op: "attach",
      args: [id],
      stdin: spec.stdin || spec.terminal,
      terminal: spec.terminal,
      lostExitCode: async () => (await entries.wait(id)).exitCode,
    },
    signal,
  );
}
