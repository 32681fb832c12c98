// Containers' names and ids: made, checked, and found again by what a user types. Pure but for the chance that comes in.
import { below, type Random } from "../../../lib/random.ts";
import { badRequest, notFound } from "../http/problem.ts";

const adjectives =
  "agile amber brave bright calm clear coastal cool crisp deep early eager fair fleet gentle golden grand happy honest keen kind lively lucid merry mild misty noble patient proud quick quiet ready rapid silver smooth steady still sunny swift tidy vivid warm wide wise".split(
    " ",
  );
const rivers =
  "amazon amur danube douro elbe ganges han hudson imjin indus irtysh jordan kongo kura lena loire mekong moselle nakdong niger nile oder ohio orinoco parana po rhine rhone seine severn shannon tagus tejo thames tiber tigris tumen ural vistula volga weser yalu yukon zambezi".split(
    " ",
  );
const namePattern = /^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/;

/** Two words; with a number when those are taken. */
export function makeName(random: Random, isTaken: (name: string) => boolean): string {
  for (let tries = 0; ; tries++) {
    const words = `${pick(random, adjectives)}_${pick(random, rivers)}`;
    const name = tries < 5 ? words : `${words}${below(random, 10 ** Math.min(9, tries))}`;
    if (!isTaken(name)) return name;
  }
}

/** 64 hexadecimal digits. */
export function makeId(random: Random): string {
  let id = "";
  while (id.length < 64) id += random.uint32().toString(16).padStart(8, "0");
  return id;
}

/** Without the slash that Docker's API puts before it. */
export function checkName(text: string): string {
  const name = text.replace(/^\//, "");
  if (!namePattern.test(name))
    throw badRequest(`Invalid container name (${text}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`);
  return name;
}

/** By whole id, name, or the beginning of one id alone. `what` names the kind for the refusal. */
export function findByName<T extends { readonly id: string; readonly name: string }>(
  all: readonly T[],
  text: string,
  what: string,
): T {
  const wanted = text.replace(/^\//, "");
  const exact = all.find(({ id }) => id === wanted) ?? all.find(({ name }) => name === wanted);
  if (exact !== undefined) return exact;
  const starting = /^[0-9a-f]{1,64}$/.test(wanted) ? all.filter(({ id }) => id.startsWith(wanted)) : [];
  const [only] = starting;
  if (starting.length > 1) throw badRequest(`multiple IDs found with provided prefix: ${wanted}`);
  if (only === undefined) throw notFound(what === "network" ? `network ${text} not found` : `No such ${what}: ${text}`);
  return only;
}

function pick(random: Random, words: readonly string[]): string {
  return words[below(random, words.length)] ?? "";
}
