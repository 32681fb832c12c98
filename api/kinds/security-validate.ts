// Rules of securityContext, a pod's and a container's.
import type { AppArmorProfile, PodSpec, SeccompProfile, SecurityContext } from "./generated/types.ts";
import type { FieldError } from "./kind.ts";
import { duplicates } from "./metadata.ts";
import { forbidden, invalid, oneOf, required, tooLong } from "./schema/field-error.ts";
import { at, child } from "./schema/path.ts";

const idMax = 2 ** 31 - 1;
const sysctlName = /^[a-z0-9](?:[-_a-z0-9]*[a-z0-9])?(?:[./][a-z0-9*](?:[-_a-z0-9]*[a-z0-9])?)*$/i;
const sysctlNameCharactersMax = 253;
const profileNameCharactersMax = 4095;

export function podSecurityErrors(spec: PodSpec, path: string): readonly FieldError[] {
  const context = spec.securityContext ?? {};
  const here = child(path, "securityContext");
  const hostNamespaces = (["hostNetwork", "hostPID", "hostIPC"] as const).filter((name) => spec[name] === true);
  return [
    ...idErrors(context, here, ["runAsUser", "runAsGroup", "fsGroup"]),
    ...(context.supplementalGroups ?? []).flatMap((id, i) => idError(id, at(child(here, "supplementalGroups"), i))),
    ...oneOf(child(here, "supplementalGroupsPolicy"), context.supplementalGroupsPolicy, ["Merge", "Strict"]),
    ...oneOf(child(here, "fsGroupChangePolicy"), context.fsGroupChangePolicy, ["Always", "OnRootMismatch"]),
    ...seccompErrors(context.seccompProfile, child(here, "seccompProfile")),
    ...appArmorErrors(context.appArmorProfile, child(here, "appArmorProfile")),
    ...sysctlErrors(spec, child(here, "sysctls")),
    ...(spec.hostUsers === false
      ? hostNamespaces.map((name) => forbidden(child(path, name), "when `hostUsers` is false"))
      : []),
  ];
}

export function securityErrors(context: SecurityContext, path: string, spec: PodSpec): readonly FieldError[] {
  const { allowPrivilegeEscalation: escalation, privileged, capabilities, procMount } = context;
  const admin = (capabilities?.add ?? []).some((name) => /^(?:CAP_)?SYS_ADMIN$/i.test(name));
  const refuse = (what: string) => invalid(path, "", `cannot set \`allowPrivilegeEscalation\` to false and ${what}`);
  return [
    ...idErrors(context, path, ["runAsUser", "runAsGroup"]),
    ...seccompErrors(context.seccompProfile, child(path, "seccompProfile")),
    ...appArmorErrors(context.appArmorProfile, child(path, "appArmorProfile")),
    ...(escalation === false && privileged === true ? [refuse("`privileged` to true")] : []),
    ...(escalation === false && admin ? [refuse("`capabilities.Add` CAP_SYS_ADMIN")] : []),
    ...oneOf(child(path, "procMount"), procMount, ["Default", "Unmasked"]),
    ...(procMount === "Unmasked" && spec.hostUsers !== false
      ? [invalid(child(path, "procMount"), procMount, "`hostUsers` must be false to use `Unmasked`")]
      : []),
  ];
}

function appArmorErrors(profile: AppArmorProfile | undefined, path: string): readonly FieldError[] {
  if (profile === undefined) return [];
  const { type, localhostProfile } = profile;
  const field = child(path, "localhostProfile");
  if (!type) return [required(child(path, "type"), "type is required when appArmorProfile is set")];
  if (type !== "Localhost")
    return [
      ...oneOf(child(path, "type"), type, ["Localhost", "RuntimeDefault", "Unconfined"]),
      ...(localhostProfile === undefined
        ? []
        : [invalid(field, localhostProfile, "can only be set when AppArmor type is Localhost")]),
    ];
  if (!localhostProfile?.trim()) return [required(field, "must be set when AppArmor type is Localhost")];
  if (localhostProfile.trim() !== localhostProfile)
    return [invalid(field, localhostProfile, "must not be padded with whitespace")];
  return localhostProfile.length > profileNameCharactersMax ? [tooLong(field, profileNameCharactersMax)] : [];
}

function sysctlErrors(spec: PodSpec, path: string): readonly FieldError[] {
  const sysctls = spec.securityContext?.sysctls ?? [];
  return [
    ...sysctls.flatMap(({ name }, i) => {
      const here = child(at(path, i), "name");
      if (!name) return [required(here)];
      if (name.length > sysctlNameCharactersMax || !sysctlName.test(name))
        return [
          invalid(
            here,
            name,
            "must have at most 253 characters and be names of letters, digits, '-' and '_' between '.' or '/'",
          ),
        ];
      const dotted = name.replaceAll("/", ".");
      if (dotted.startsWith("net.") && spec.hostNetwork === true)
        return [invalid(here, name, "may not be specified when 'hostNetwork' is true")];
      const ipc = /^(?:kernel\.(?:shm|msg|sem)|fs\.mqueue\.)/.test(dotted);
      return ipc && spec.hostIPC === true ? [invalid(here, name, "may not be specified when 'hostIPC' is true")] : [];
    }),
    ...duplicates(
      sysctls.map(({ name }) => name.replaceAll("/", ".")),
      (i) => child(at(path, i), "name"),
    ),
  ];
}

function seccompErrors(profile: SeccompProfile | undefined, path: string): readonly FieldError[] {
  if (profile === undefined) return [];
  const { type, localhostProfile } = profile;
  const field = child(path, "localhostProfile");
  if (!type) return [required(child(path, "type"), "type is required when seccompProfile is set")];
  if (type !== "Localhost") {
    return [
      ...oneOf(child(path, "type"), type, ["Localhost", "RuntimeDefault", "Unconfined"]),
      ...(localhostProfile === undefined
        ? []
        : [invalid(field, localhostProfile, "can only be set when seccomp type is Localhost")]),
    ];
  }
  if (!localhostProfile) return [required(field, "must be set when seccomp type is Localhost")];
  if (localhostProfile.startsWith("/")) return [invalid(field, localhostProfile, "must be a relative path")];
  return localhostProfile.split("/").includes("..") ? [invalid(field, localhostProfile, "must not contain '..'")] : [];
}

type IdField = "runAsUser" | "runAsGroup" | "fsGroup";

function idErrors<Field extends IdField>(
  context: { readonly [name in Field]?: number },
  path: string,
  names: readonly Field[],
): readonly FieldError[] {
  return names.flatMap((name) => idError(context[name], child(path, name)));
}

function idError(id: number | undefined, path: string): readonly FieldError[] {
  return id === undefined || (id >= 0 && id <= idMax)
    ? []
    : [invalid(path, id, `must be between 0 and ${idMax}, inclusive`)];
}
