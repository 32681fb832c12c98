// Rules of one container: image, ports, environment, resources, probes, mounts.
import type { Container, EnvVar, ResourceRequirements } from "./generated/types.ts";
import { exactlyOne, type HandlerContext, handlerErrors, portInRange } from "./handler-validate.ts";
import type { FieldError } from "./kind.ts";
import { complaints, duplicates } from "./metadata.ts";
import { invalid, required, unsupported } from "./schema/field-error.ts";
import { dns1123Label, envName, portName } from "./schema/names.ts";
import { at, child, key } from "./schema/path.ts";
import { compareQuantities, parseQuantity } from "./schema/quantity.ts";
import { mountErrors } from "./volume-validate.ts";

export interface ContainerContext extends HandlerContext {
  readonly volumeNames: ReadonlySet<string>;
}

export function validateContainer(
  container: Container,
  path: string,
  context: ContainerContext,
): readonly FieldError[] {
  return [
    ...(container.name
      ? complaints(child(path, "name"), container.name, dns1123Label)
      : [required(child(path, "name"))]),
    ...imageErrors(container.image, child(path, "image")),
    ...oneOf(child(path, "imagePullPolicy"), container.imagePullPolicy, ["Always", "IfNotPresent", "Never"]),
    ...oneOf(child(path, "terminationMessagePolicy"), container.terminationMessagePolicy, [
      "FallbackToLogsOnError",
      "File",
    ]),
    ...portErrors(container, child(path, "ports")),
    ...(container.env ?? []).flatMap((env, i) => envErrors(env, at(child(path, "env"), i))),
    ...(container.envFrom ?? []).flatMap((from, i) =>
      exactlyOne(at(child(path, "envFrom"), i), { configMapRef: from.configMapRef, secretRef: from.secretRef }),
    ),
    ...resourceErrors(container.resources ?? {}, child(path, "resources")),
    ...restartErrors(container, path),
    ...handlerErrors(container, path, context),
    ...mountErrors(container, child(path, "volumeMounts"), context.volumeNames),
  ];
}

function restartErrors({ restartPolicy, restartPolicyRules = [] }: Container, path: string): readonly FieldError[] {
  const rules = child(path, "restartPolicyRules");
  return [
    ...oneOf(child(path, "restartPolicy"), restartPolicy, ["Always", "Never", "OnFailure"]),
    ...(restartPolicyRules.length > 0 && restartPolicy === undefined
      ? [required(child(path, "restartPolicy"), "must be set beside restartPolicyRules")]
      : []),
    ...restartPolicyRules.flatMap(({ action, exitCodes }, i) => [
      ...oneOf(child(at(rules, i), "action"), action, ["Restart", "RestartAllContainers"]),
      ...(exitCodes === undefined
        ? [required(child(at(rules, i), "exitCodes"))]
        : oneOf(child(at(rules, i), "exitCodes.operator"), exitCodes.operator, ["In", "NotIn"])),
    ]),
  ];
}

export function oneOf(path: string, value: string | undefined, allowed: readonly string[]): readonly FieldError[] {
  return value === undefined || allowed.includes(value) ? [] : [unsupported(path, value, allowed)];
}

/** requests <= limits, none negative. */
function resourceErrors(resources: ResourceRequirements, path: string): readonly FieldError[] {
  const { limits = {}, requests = {} } = resources;
  const negative = (values: Readonly<Record<string, string | number>>, name: string) =>
    Object.entries(values).flatMap(([resource, amount]) =>
      (parseQuantity(amount)?.nanos ?? 0n) < 0n
        ? [invalid(key(child(path, name), resource), amount, "must be greater than or equal to 0")]
        : [],
    );
  return [
    ...negative(limits, "limits"),
    ...negative(requests, "requests"),
    ...Object.entries(requests).flatMap(([resource, amount]) => {
      const limit = Object.hasOwn(limits, resource) ? limits[resource] : undefined;
      return limit !== undefined && compareQuantities(amount, limit) > 0
        ? [invalid(child(path, "requests"), amount, `must be less than or equal to ${resource} limit of ${limit}`)]
        : [];
    }),
  ];
}

function imageErrors(image: string | undefined, path: string): readonly FieldError[] {
  if (!image) return [required(path)];
  return image.trim() === image ? [] : [invalid(path, image, "must not have leading or trailing whitespace")];
}

function portErrors(container: Container, path: string): readonly FieldError[] {
  const ports = container.ports ?? [];
  const named = ports.flatMap((port, i) => (port.name ? [{ name: port.name, i }] : []));
  return [
    ...ports.flatMap((port, i) => [
      ...portInRange(child(at(path, i), "containerPort"), port.containerPort),
      ...(port.hostPort === undefined || port.hostPort === 0
        ? []
        : portInRange(child(at(path, i), "hostPort"), port.hostPort)),
      ...(port.name ? complaints(child(at(path, i), "name"), port.name, portName) : []),
      ...oneOf(child(at(path, i), "protocol"), port.protocol, ["SCTP", "TCP", "UDP"]),
    ]),
    ...duplicates(
      named.map((n) => n.name),
      (n) => child(at(path, named[n]?.i ?? 0), "name"),
    ),
  ];
}

function envErrors(env: EnvVar, path: string): readonly FieldError[] {
  const name = env.name ? complaints(child(path, "name"), env.name, envName) : [required(child(path, "name"))];
  const from = env.valueFrom;
  if (from === undefined) return name;
  const fromPath = child(path, "valueFrom");
  return [
    ...name,
    ...(env.value ? [invalid(fromPath, "", "may not be specified when `value` is not empty")] : []),
    ...exactlyOne(fromPath, {
      fieldRef: from.fieldRef,
      resourceFieldRef: from.resourceFieldRef,
      configMapKeyRef: from.configMapKeyRef,
      secretKeyRef: from.secretKeyRef,
      fileKeyRef: from.fileKeyRef,
    }),
    ...(from.fieldRef === undefined
      ? []
      : fieldRefErrors(from.fieldRef.fieldPath, child(fromPath, "fieldRef.fieldPath"))),
  ];
}

const podFields = [
  "metadata.name",
  "metadata.namespace",
  "metadata.uid",
  "spec.nodeName",
  "spec.serviceAccountName",
  "status.hostIP",
  "status.hostIPs",
  "status.podIP",
  "status.podIPs",
];

function fieldRefErrors(fieldPath: string, path: string): readonly FieldError[] {
  if (/^metadata\.(?:annotations|labels)\['[^']+'\]$/.test(fieldPath)) return [];
  return oneOf(path, fieldPath, podFields);
}
