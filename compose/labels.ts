// How the objects of a project are found again.
import { objectName } from "./draft.ts";

const projectLabel = "app.kubernetes.io/part-of";
export const serviceLabel = "app.kubernetes.io/name";

export function projectLabels(project: string): Readonly<Record<string, string>> {
  return { [projectLabel]: project, "app.kubernetes.io/managed-by": "naru-compose" };
}

/** Of a service's pods, and nothing else. */
export function serviceLabels(project: string, service: string): Readonly<Record<string, string>> {
  return { [projectLabel]: project, [serviceLabel]: objectName(service) };
}
