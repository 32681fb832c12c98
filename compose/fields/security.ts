// Fields of a service that say as whom it runs and what it may do.
import type { ServiceDraft } from "../draft.ts";
import { type Fields, without } from "../read.ts";

export const securityFields: Fields<ServiceDraft> = {
  user: ({ security }, node, reader) => {
    const text = reader.text(node, "user") ?? "";
    const [user, group] = text.split(":");
    if (!/^\d+$/.test(user ?? "") || (group !== undefined && !/^\d+$/.test(group))) {
      reader.fail(
        node.place,
        `user takes numbers such as 1000:1000, got ${JSON.stringify(text)}: only the image knows its names`,
      );
      return;
    }
    security.runAsUser = Number(user);
    if (group !== undefined) security.runAsGroup = Number(group);
  },
  group_add: ({ pod }, node, reader) => {
    const groups = reader.list(node, "group_add").flatMap((item) => reader.integer(item, "group_add") ?? []);
    pod.securityContext = { ...pod.securityContext, supplementalGroups: groups };
  },
  privileged: ({ security }, node, reader) => {
    security.privileged = reader.boolean(node, "privileged") ?? false;
  },
  read_only: ({ security }, node, reader) => {
    security.readOnlyRootFilesystem = reader.boolean(node, "read_only") ?? false;
  },
  cap_add: ({ security }, node, reader) => {
    security.capabilities = { ...security.capabilities, add: reader.texts(node, "cap_add").map(capability) };
  },
  cap_drop: ({ security }, node, reader) => {
    security.capabilities = { ...security.capabilities, drop: reader.texts(node, "cap_drop").map(capability) };
  },
  security_opt: ({ security }, node, reader) => {
    for (const item of reader.list(node, "security_opt")) {
      const option = reader.text(item, "security_opt") ?? "";
      if (/^no-new-privileges(?:[:=]true)?$/.test(option)) security.allowPrivilegeEscalation = false;
      else if (/^seccomp[:=]unconfined$/.test(option)) security.seccompProfile = { type: "Unconfined" };
      else
        reader.note(
          item.place,
          `security_opt ${option} is left out: no-new-privileges and seccomp:unconfined are known`,
        );
    }
  },
  sysctls: ({ pod }, node, reader) => {
    const sysctls = reader.keyValues(node, "sysctls").map(([name, value]) => ({ name, value: value ?? "" }));
    pod.securityContext = { ...pod.securityContext, sysctls };
  },
  userns_mode: ({ pod }, node, reader) => {
    if (reader.word(node, "userns_mode", ["host"] as const) === "host") pod.hostUsers = true;
  },
  pid: ({ pod }, node, reader) => {
    if (reader.word(node, "pid", ["host"] as const) === "host") pod.hostPID = true;
  },
  ipc: ({ pod }, node, reader) => {
    if (reader.word(node, "ipc", ["host", "private", "shareable"] as const) === "host") pod.hostIPC = true;
  },
  devices: without("a pod reaches devices through hostPath volumes and privileged"),
  device_cgroup_rules: without("a pod reaches devices through hostPath volumes and privileged"),
  ulimits: without("limits of processes are the node's"),
  cgroup: without("containers see their own cgroups alone"),
  cgroup_parent: without("the node places cgroups"),
  credential_spec: without("it is of Windows"),
  isolation: without("it is of Windows"),
  uts: without("a pod has a host name of its own"),
  oom_score_adj: without("it follows from what memory the service reserves"),
  oom_kill_disable: without("a container that takes more than its limit ends"),
  runtime: ({ pod }, node, reader) => {
    pod.runtimeClassName = reader.text(node, "runtime") ?? "";
  },
};

function capability(name: string): string {
  return name.replace(/^CAP_/i, "").toUpperCase();
}
