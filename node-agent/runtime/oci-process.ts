// A process as config.json and `exec --process` of an OCI runtime take it. Pure.
// Source: OCI runtime specification, config.md, "Process".
import { capabilityMask, mergeEnv, rlimitNumber } from "./plan-process.ts";
import { type ContainerSpec, type ExecRequest, LaunchError } from "./runtime.ts";

export interface OciProcess {
  readonly terminal: boolean;
  readonly user: { readonly uid: number; readonly gid: number; readonly additionalGids: readonly number[] };
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly cwd: string;
  readonly capabilities: Readonly<Record<"bounding" | "effective" | "permitted", readonly string[]>>;
  /** -1 and what is beyond exact numbers stand for no limit; `writeOciJson` writes them as the kernel's. */
  readonly rlimits: ContainerSpec["rlimits"];
  readonly noNewPrivileges: boolean;
  readonly oomScoreAdj: number;
  readonly apparmorProfile?: string;
}

/** Throws LaunchError for names that do not exist. A privileged one's capabilities are in its spec as well. */
export function ociProcess(spec: ContainerSpec): OciProcess {
  const names = spec.capabilities;
  capabilityMask(names);
  for (const { type } of spec.rlimits) rlimitNumber(type);
  return {
    terminal: spec.terminal,
    user: spec.user,
    args: spec.args,
    env: spec.env,
    cwd: spec.cwd === "" ? "/" : spec.cwd,
    capabilities: { bounding: names, effective: names, permitted: names },
    rlimits: spec.rlimits,
    noNewPrivileges: spec.noNewPrivileges,
    oomScoreAdj: spec.resources.oomScoreAdj ?? 0,
    ...(spec.appArmorProfile === undefined ? {} : { apparmorProfile: spec.appArmorProfile }),
  };
}

/** Another process in the container, with its limits; `spec` has the capabilities that a privileged one gets. */
export function ociExecProcess(spec: ContainerSpec, request: ExecRequest): OciProcess {
  const { args, env = [], terminal } = request;
  if (args.length === 0) throw new LaunchError("exec: no program is named", 127);
  return ociProcess({
    ...spec,
    args,
    env: mergeEnv(spec.env, env),
    cwd: request.cwd ?? spec.cwd,
    user: request.user ?? spec.user,
    terminal,
  });
}
