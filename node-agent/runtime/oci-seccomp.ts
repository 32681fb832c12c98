// A seccomp profile as config.json takes it: Docker's conditions (capabilities, kernel, architecture) decided, the rules as they are.
// Pure. Source: OCI runtime specification, config-linux.md, "Seccomp".
import { applies, type SeccompContext } from "./seccomp.ts";
import { architectureOf, type SeccompMachine } from "./seccomp-machines.ts";
import { parseProfile } from "./seccomp-profile.ts";

export interface OciSeccomp {
  readonly defaultAction: unknown;
  readonly defaultErrnoRet?: unknown;
  readonly architectures: readonly string[];
  readonly syscalls: readonly OciSeccompRule[];
}

interface OciSeccompRule {
  readonly names: readonly string[];
  readonly action: unknown;
  readonly errnoRet?: unknown;
  readonly args?: unknown;
}

/** Throws on a profile that is none, with the field's path. */
export function ociSeccomp(profile: unknown, context: SeccompContext, machine: SeccompMachine): OciSeccomp {
  const { rules } = parseProfile(profile);
  const { architecture, abis } = architectureOf(machine);
  const given = profile as {
    readonly defaultAction: unknown;
    readonly defaultErrnoRet?: unknown;
    readonly syscalls?: readonly Readonly<Record<string, unknown>>[];
  };
  const raw = given.syscalls ?? [];
  return {
    defaultAction: given.defaultAction,
    ...(given.defaultErrnoRet === undefined ? {} : { defaultErrnoRet: given.defaultErrnoRet }),
    architectures: abis.map(({ oci }) => oci),
    syscalls: rules.flatMap((rule, i) => {
      if (!applies(rule, { ...context, arch: architecture })) return [];
      const { errnoRet, args, action } = raw[i] ?? {};
      return [
        {
          names: rule.names,
          action,
          ...(errnoRet === undefined ? {} : { errnoRet }),
          ...(args === undefined || args === null ? {} : { args }),
        },
      ];
    }),
  };
}
