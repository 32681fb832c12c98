// Fields of a service about how many run, where, when, and what happens when they end.
import type { NodeSelectorRequirement } from "../../api/kinds/generated/types.ts";
import type { DependencyCondition } from "../../api/kinds/start-order.ts";
import type { Restart, ServiceDraft } from "../draft.ts";
import { serviceLabels } from "../labels.ts";
import type { Node } from "../nodes.ts";
import { type Fields, type Reader, without } from "../read.ts";
import { resourcesField } from "./resources.ts";

export const deployFields: Fields<ServiceDraft> = {
  deploy: (draft, node, reader) => reader.fields(node, "deploy", deployParts, draft),
  scale: (draft, node, reader) => {
    draft.replicas = reader.integer(node, "scale") ?? 1;
  },
  restart: (draft, node, reader) => {
    const policy = reader.text(node, "restart") ?? "";
    const [word = "", retries] = policy.split(":");
    const restart = ({ no: "no", always: "always", "unless-stopped": "always", "on-failure": "on-failure" } as const)[
      word
    ];
    if (restart === undefined)
      reader.fail(
        node.place,
        `restart takes "no", always, on-failure or unless-stopped, got ${JSON.stringify(policy)}`,
      );
    else if (retries !== undefined && !/^\d{1,9}$/.test(retries))
      reader.fail(node.place, `restart: on-failure takes a number of tries behind it, got ${JSON.stringify(policy)}`);
    else {
      draft.restart = restart;
      if (retries !== undefined) draft.retries = { count: Number(retries), place: node.place };
    }
  },
  depends_on: (draft, node, reader) => {
    const wanted =
      node.type === "map"
        ? [...node.entries]
        : reader.texts(node, "depends_on").map((name) => [name, undefined] as const);
    for (const [service, options] of wanted) {
      const place = options?.place ?? node.place;
      const dependency: { condition: DependencyCondition; required: boolean } = {
        condition: "started",
        required: true,
      };
      if (options !== undefined) reader.fields(options, `depends_on.${service}`, dependencyFields, dependency);
      if (draft.project.services.has(service))
        draft.dependsOn.push({
          matchLabels: serviceLabels(draft.project.name, service),
          condition: dependency.condition,
        });
      else if (dependency.required)
        reader.fail(place, `depends_on: there is no service ${service}, or its profile is off`);
    }
  },
  logging: without("logs are the node's; naru logs reads them"),
  log_driver: without("logs are the node's; naru logs reads them"),
  log_opt: without("logs are the node's; naru logs reads them"),
  attach: without("naru compose logs shows every service"),
  develop: without("it is of the machine that develops"),
  init: without("a pod's first process is the service's"),
  provider: without("providers are programs of the machine that runs Compose"),
  models: without("models are of the machine that runs Compose"),
  use_api_socket: without("containers do not reach the node"),
  label_file: without("write labels"),
};

const dependencyFields: Fields<{ condition: DependencyCondition; required: boolean }> = {
  condition: (into, node, reader) => {
    const words = ["service_started", "service_healthy", "service_completed_successfully"] as const;
    const word = reader.word(node, "depends_on.condition", words);
    if (word !== undefined)
      into.condition = (
        { service_started: "started", service_healthy: "healthy", service_completed_successfully: "completed" } as const
      )[word];
  },
  restart: (_, node, reader) => {
    if (reader.boolean(node, "depends_on.restart") === true)
      reader.note(node.place, "depends_on.restart is left out: services are not restarted with those that they need");
  },
  required: (into, node, reader) => {
    into.required = reader.boolean(node, "depends_on.required") ?? true;
  },
};

export const deployParts: Fields<ServiceDraft> = {
  replicas: (draft, node, reader) => {
    draft.replicas = reader.integer(node, "deploy.replicas") ?? 1;
  },
  mode: (draft, node, reader) => {
    const words = ["replicated", "global", "replicated-job", "global-job"] as const;
    const mode = reader.word(node, "deploy.mode", words);
    if (mode === "global-job")
      reader.fail(
        node.place,
        "deploy.mode global-job has no equivalent, as nodes come and go: replicated-job with replicas: as many as there are nodes and placement: { max_replicas_per_node: 1 } runs one on each",
      );
    else if (mode !== undefined) draft.mode = mode;
  },
  labels: (draft, node, reader) => {
    for (const [name, value] of reader.keyValues(node, "deploy.labels")) draft.annotations[name] = value ?? "";
  },
  resources: resourcesField,
  restart_policy: (draft, node, reader) => {
    const policy: { condition: Restart } = { condition: "always" };
    reader.fields<typeof policy>(
      node,
      "deploy.restart_policy",
      {
        condition: (into, value) => {
          const word = reader.word(value, "deploy.restart_policy.condition", ["none", "on-failure", "any"] as const);
          if (word !== undefined)
            into.condition = ({ none: "no", "on-failure": "on-failure", any: "always" } as const)[word];
        },
        delay: without("waits between starts grow by themselves, from 10 s to 5 minutes"),
        max_attempts: (_, value) => {
          const count = reader.integer(value, "deploy.restart_policy.max_attempts");
          if (count !== undefined) draft.retries = { count, place: value.place };
        },
        window: without("waits between starts grow by themselves, from 10 s to 5 minutes"),
      },
      policy,
    );
    draft.restart = policy.condition;
  },
  placement: (draft, node, reader) =>
    reader.fields<ServiceDraft>(
      node,
      "deploy.placement",
      {
        constraints: (_, value) => setConstraints(draft, value, reader),
        preferences: (_, value) => setPreferences(draft, value, reader),
        max_replicas_per_node: (_, value) => {
          const maxSkew = reader.integer(value, "deploy.placement.max_replicas_per_node", 1);
          if (maxSkew !== undefined)
            spread(draft, "kubernetes.io/hostname", { maxSkew, whenUnsatisfiable: "DoNotSchedule" });
        },
      },
      draft,
    ),
  update_config: (draft, node, reader) =>
    reader.fields<ServiceDraft>(
      node,
      "deploy.update_config",
      {
        parallelism: (_, value) => {
          const parallelism = reader.integer(value, "deploy.update_config.parallelism");
          if (parallelism !== undefined) draft.update.parallelism = parallelism;
        },
        order: (_, value) => {
          draft.update.startFirst =
            reader.word(value, "deploy.update_config.order", ["start-first", "stop-first"] as const) === "start-first";
        },
        monitor: (_, value) => {
          const seconds = reader.seconds(value, "deploy.update_config.monitor");
          if (seconds !== undefined) draft.update.monitorSeconds = Math.round(seconds);
        },
        delay: without("an update goes on when new ones are ready"),
        failure_action: without("an update that does not come up stops and says so; naru rollout undo goes back"),
        max_failure_ratio: without("an update that does not come up stops and says so"),
      },
      draft,
    ),
  rollback_config: without("naru rollout undo goes back as an update goes forward"),
  endpoint_mode: (_, node, reader) => {
    if (reader.word(node, "deploy.endpoint_mode", ["vip", "dnsrr"] as const) === "vip")
      reader.note(node.place, "deploy.endpoint_mode vip: a name stands for the addresses of all that are ready");
  },
};

function setConstraints(draft: ServiceDraft, node: Node, reader: Reader): void {
  const requirements = reader
    .list(node, "deploy.placement.constraints")
    .flatMap((item): readonly NodeSelectorRequirement[] => {
      const text = reader.text(item, "deploy.placement.constraints") ?? "";
      const [, subject = "", sign, value = ""] = /^\s*([\w./-]+)\s*(==|!=)\s*(\S.*?)\s*$/.exec(text) ?? [];
      const key = subject.startsWith("node.labels.") ? subject.slice("node.labels.".length) : nodeKeys[subject];
      const role = subject === "node.role" ? roleRequirement(sign, value) : undefined;
      if (role !== undefined) return [role];
      if (key === undefined || sign === undefined)
        return (
          reader.fail(
            item.place,
            `deploy.placement.constraints takes node.hostname, node.labels.NAME, node.role (manager or worker) or node.platform.arch with == or !=, got ${JSON.stringify(text)}`,
          ) ?? []
        );
      return [{ key, operator: sign === "==" ? "In" : "NotIn", values: [value] }];
    });
  if (requirements.length === 0) return;
  draft.pod.affinity = {
    ...draft.pod.affinity,
    nodeAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [{ matchExpressions: [...requirements] }] },
    },
  };
}

/** Where servers are marked as Kubernetes' installers mark them. */
function roleRequirement(sign: string | undefined, role: string): NodeSelectorRequirement | undefined {
  if (role !== "manager" && role !== "worker") return undefined;
  const isManager = (role === "manager") === (sign === "==");
  return { key: "node-role.kubernetes.io/control-plane", operator: isManager ? "Exists" : "DoesNotExist" };
}

function setPreferences(draft: ServiceDraft, node: Node, reader: Reader): void {
  for (const item of reader.list(node, "deploy.placement.preferences")) {
    const wanted = item.type === "map" ? item.entries.get("spread") : undefined;
    const label = wanted === undefined ? undefined : reader.text(wanted, "deploy.placement.preferences.spread");
    if (label === undefined || !label.startsWith("node.labels."))
      reader.fail(item.place, "deploy.placement.preferences takes spread: node.labels.NAME");
    else spread(draft, label.slice("node.labels.".length), { maxSkew: 1, whenUnsatisfiable: "ScheduleAnyway" });
  }
}

function spread(draft: ServiceDraft, topologyKey: string, how: { maxSkew: number; whenUnsatisfiable: string }): void {
  const labelSelector = { matchLabels: serviceLabels(draft.project.name, draft.name) };
  draft.pod.topologySpreadConstraints = [
    ...(draft.pod.topologySpreadConstraints ?? []),
    { topologyKey, labelSelector, ...how },
  ];
}

const nodeKeys: Readonly<Record<string, string>> = {
  "node.hostname": "kubernetes.io/hostname",
  "node.platform.os": "kubernetes.io/os",
  "node.platform.arch": "kubernetes.io/arch",
};
