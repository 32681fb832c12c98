// Rules of what a node asks a container: probes, and hooks at its beginning and its end.
// Source: Kubernetes 1.36 API reference, "Probe", "Lifecycle", "LifecycleHandler".
import type { Container, HTTPGetAction, LifecycleHandler, Probe } from "./generated/types.ts";
import type { FieldError } from "./kind.ts";
import { complaints } from "./metadata.ts";
import { forbidden, invalid, required, unsupported } from "./schema/field-error.ts";
import { portName } from "./schema/names.ts";
import { at, child } from "./schema/path.ts";

export interface HandlerContext {
  /** Init containers that end have neither probes nor hooks. */
  readonly ends: boolean;
  /** Of the pod: how long a hook may sleep before its end. */
  readonly graceSeconds: number;
}

const probeNames = ["livenessProbe", "readinessProbe", "startupProbe"] as const;
const counts = [
  "initialDelaySeconds",
  "timeoutSeconds",
  "periodSeconds",
  "successThreshold",
  "failureThreshold",
] as const;

export function handlerErrors(container: Container, path: string, context: HandlerContext): readonly FieldError[] {
  const { lifecycle } = container;
  if (context.ends) {
    return [...probeNames, "lifecycle" as const]
      .filter((name) => container[name] !== undefined)
      .map((name) => forbidden(child(path, name), "may not be set for init containers without restartPolicy=Always"));
  }
  return [
    ...probeNames.flatMap((name) => {
      const probe = container[name];
      return probe === undefined ? [] : probeErrors(probe, child(path, name), name);
    }),
    ...(lifecycle?.stopSignal === undefined || isSignal(lifecycle.stopSignal)
      ? []
      : [invalid(child(path, "lifecycle.stopSignal"), lifecycle.stopSignal, "must be a signal, such as SIGTERM")]),
    ...(["postStart", "preStop"] as const).flatMap((name) => {
      const hook = lifecycle?.[name];
      return hook === undefined ? [] : hookErrors(hook, child(path, `lifecycle.${name}`), context.graceSeconds);
    }),
  ];
}

// Source: Linux, signal(7).
const signals =
  "ABRT ALRM BUS CHLD CLD CONT FPE HUP ILL INT IO IOT KILL PIPE POLL PROF PWR QUIT SEGV STKFLT STOP SYS TERM TRAP TSTP TTIN TTOU URG USR1 USR2 VTALRM WINCH XCPU XFSZ";

function isSignal(name: string): boolean {
  const word = /^SIG(\w+)$/.exec(name)?.[1];
  return word !== undefined && signals.split(" ").includes(word)
    ? true
    : /^SIGRTM(?:IN(?:\+(?:1[0-5]|[1-9]))?|AX(?:-(?:1[0-4]|[1-9]))?)$/.test(name);
}

/** Complains when none or several of the fields are there. */
export function exactlyOne(path: string, fields: Readonly<Record<string, unknown>>): readonly FieldError[] {
  const present = Object.keys(fields).filter((name) => fields[name] !== undefined);
  const names = Object.keys(fields).join(", ");
  if (present.length === 0) return [required(path, `must have exactly one of ${names}`)];
  return present.slice(1).map((name) => forbidden(child(path, name), `may not be set beside ${present[0]}`));
}

export function portInRange(path: string, port: unknown): readonly FieldError[] {
  return typeof port === "number" && port >= 1 && port <= 65535
    ? []
    : [invalid(path, port, "must be between 1 and 65535, inclusive")];
}

/** Numbers are ports; strings are names of ports. */
export function portOrName(path: string, port: string | number): readonly FieldError[] {
  return typeof port === "number" ? portInRange(path, port) : complaints(path, port, portName);
}

function probeErrors(probe: Probe, path: string, name: (typeof probeNames)[number]): readonly FieldError[] {
  const { exec, httpGet, tcpSocket, grpc, terminationGracePeriodSeconds: grace } = probe;
  return [
    ...exactlyOne(path, { exec, httpGet, tcpSocket, grpc }),
    ...actionErrors(probe, path),
    ...(grpc === undefined ? [] : portInRange(child(path, "grpc.port"), grpc.port)),
    ...counts.flatMap((field) =>
      (probe[field] ?? 0) < 0 ? [invalid(child(path, field), probe[field], "must be greater than or equal to 0")] : [],
    ),
    ...(name !== "readinessProbe" && (probe.successThreshold ?? 1) !== 1
      ? [invalid(child(path, "successThreshold"), probe.successThreshold, "must be 1")]
      : []),
    ...(name === "readinessProbe" && grace !== undefined
      ? [invalid(child(path, "terminationGracePeriodSeconds"), grace, "must not be set for readinessProbes")]
      : []),
    ...(name !== "readinessProbe" && grace !== undefined && grace < 1
      ? [invalid(child(path, "terminationGracePeriodSeconds"), grace, "must be greater than 0")]
      : []),
  ];
}

function hookErrors(hook: LifecycleHandler, path: string, graceSeconds: number): readonly FieldError[] {
  const { exec, httpGet, tcpSocket, sleep } = hook;
  const tooLong = sleep !== undefined && (sleep.seconds < 0 || sleep.seconds > graceSeconds);
  return [
    ...exactlyOne(path, { exec, httpGet, tcpSocket, sleep }),
    ...actionErrors(hook, path),
    ...(tooLong
      ? [
          invalid(
            child(path, "sleep.seconds"),
            sleep.seconds,
            `must be non-negative and no more than terminationGracePeriodSeconds (${graceSeconds})`,
          ),
        ]
      : []),
  ];
}

function actionErrors(
  { exec, httpGet, tcpSocket }: Pick<Probe, "exec" | "httpGet" | "tcpSocket">,
  path: string,
): readonly FieldError[] {
  return [
    ...(exec !== undefined && (exec.command ?? []).length === 0 ? [required(child(path, "exec.command"))] : []),
    ...(httpGet === undefined ? [] : httpErrors(httpGet, child(path, "httpGet"))),
    ...(tcpSocket === undefined ? [] : portOrName(child(path, "tcpSocket.port"), tcpSocket.port)),
  ];
}

function httpErrors(http: HTTPGetAction, path: string): readonly FieldError[] {
  const { scheme } = http;
  return [
    ...portOrName(child(path, "port"), http.port),
    ...(scheme === undefined || scheme === "HTTP" || scheme === "HTTPS"
      ? []
      : [unsupported(child(path, "scheme"), scheme, ["HTTP", "HTTPS"])]),
    ...(http.httpHeaders ?? []).flatMap(({ name }, i) =>
      /^[-A-Za-z0-9]+$/.test(name)
        ? []
        : [invalid(child(at(child(path, "httpHeaders"), i), "name"), name, "must be letters, digits and '-'")],
    ),
  ];
}
