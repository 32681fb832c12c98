// healthcheck: whether a service is ready for others. Docker does not restart what is not healthy, so it is no liveness probe.
import type { ServiceDraft } from "../draft.ts";
import type { Node } from "../nodes.ts";
import type { Fields, Reader } from "../read.ts";

interface Check {
  command?: readonly string[];
  disabled?: boolean;
  intervalSeconds: number;
  timeoutSeconds: number;
  retries: number;
}

// Docker's own.
const defaults: Check = { intervalSeconds: 30, timeoutSeconds: 30, retries: 3 };
const startIntervalSeconds = 1;
const failuresMax = 2 ** 31 - 1;

export const healthFields: Fields<ServiceDraft> = {
  healthcheck: ({ container }, node, reader) => {
    const check: Check = { ...defaults };
    reader.fields(node, "healthcheck", checkFields, check);
    if (check.disabled === true) return;
    if (check.command === undefined) {
      reader.note(node.place, "healthcheck is left out: it has no test, and what the image checks is not known here");
      return;
    }
    const exec = { command: [...check.command] };
    const timeoutSeconds = Math.max(1, Math.ceil(check.timeoutSeconds));
    container.readinessProbe = {
      exec,
      timeoutSeconds,
      periodSeconds: Math.max(1, Math.round(check.intervalSeconds)),
      failureThreshold: Math.max(1, check.retries),
    };
    // Until it is healthy for the first time it is looked at often, and not being so ends no container.
    container.startupProbe = {
      exec,
      timeoutSeconds,
      periodSeconds: startIntervalSeconds,
      failureThreshold: failuresMax,
    };
  },
};

const checkFields: Fields<Check> = {
  test: (check, node, reader) => setTest(check, node, reader),
  interval: (check, node, reader) => {
    check.intervalSeconds = reader.seconds(node, "healthcheck.interval") ?? check.intervalSeconds;
  },
  timeout: (check, node, reader) => {
    check.timeoutSeconds = reader.seconds(node, "healthcheck.timeout") ?? check.timeoutSeconds;
  },
  start_period: (_, node, reader) => void reader.seconds(node, "healthcheck.start_period"),
  start_interval: (_, node, reader) => void reader.seconds(node, "healthcheck.start_interval"),
  retries: (check, node, reader) => {
    check.retries = reader.integer(node, "healthcheck.retries") ?? check.retries;
  },
  disable: (check, node, reader) => {
    check.disabled = reader.boolean(node, "healthcheck.disable") ?? false;
  },
};

function setTest(check: Check, node: Node, reader: Reader): void {
  if (node.type !== "list") {
    const text = reader.text(node, "healthcheck.test");
    if (text !== undefined) check.command = ["/bin/sh", "-c", text];
    return;
  }
  const [how, ...words] = reader.texts(node, "healthcheck.test");
  switch (how) {
    case "NONE":
      check.disabled = true;
      return;
    case "CMD":
      check.command = words;
      return;
    case "CMD-SHELL":
      check.command = ["/bin/sh", "-c", words.join(" ")];
      return;
    default:
      reader.fail(node.place, `healthcheck.test begins with CMD, CMD-SHELL or NONE, got ${JSON.stringify(how)}`);
  }
}
