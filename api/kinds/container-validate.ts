// Rules of one container: image, ports, environment, resources, probes, mounts.
import { environmentErrors } from "./env-validate.ts";
import type { Container } from "./generated/types.ts";
import { type HandlerContext, handlerErrors, portInRange } from "./handler-validate.ts";
import type { FieldError } from "./kind.ts";
import { complaints, duplicates } from "./metadata.ts";
import { containerResource, resizePolicyErrors, resourceErrors } from "./resource-validate.ts";
import { invalid, oneOf, required } from "./schema/field-error.ts";
import { dns1123Label, portName } from "./schema/names.ts";
import { at, child } from "./schema/path.ts";
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
    ...environmentErrors(container, path),
    ...resourceErrors(container.resources ?? {}, child(path, "resources"), containerResource),
    ...resizePolicyErrors(container, child(path, "resizePolicy")),
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
