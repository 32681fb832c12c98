// Further names of services, which aliases, links and container names give: each stands for one service of the project. Pure.
import { objectName, type ServiceDraft } from "./draft.ts";
import type { Reader } from "./read.ts";

/** The service that each name stands for. What cannot be a name is told of. */
export function readAliases(drafts: readonly ServiceDraft[], reader: Reader): ReadonlyMap<string, string> {
  const services = new Set(drafts.map(({ name }) => objectName(name)));
  const found = new Map<string, string>();
  for (const { name, service, place } of drafts.flatMap(({ aliases }) => aliases)) {
    const other = services.has(name) ? name : found.get(name);
    // A service's own name needs no other one.
    if (other === service || (services.has(name) && name === objectName(service))) continue;
    if (other !== undefined)
      reader.note(place, `the name ${name} is left out: it stands for the service ${other} already`);
    else if (!/^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/.test(name))
      reader.note(place, `the name ${name} is left out: names have small letters, digits and "-"`);
    else found.set(name, service);
  }
  return found;
}
