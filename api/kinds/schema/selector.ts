// Label selectors, as query text and as LabelSelector objects.
// Source: Kubernetes documentation, "Labels and Selectors".
import type { LabelSelector } from "../generated/types.ts";
import { ApiError } from "../status.ts";
import { labelValue, qualifiedName } from "./names.ts";

export type Labels = Readonly<Record<string, string>>;

export interface Requirement {
  readonly key: string;
  readonly operator: "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt";
  readonly values: readonly string[];
}

/** All must hold; an empty list selects everything. */
export type Selector = readonly Requirement[];

const selectorCharsMax = 16_384;

/** "app=web,tier in (a,b),!canary"; refuses with ApiError BadRequest. */
export function parseLabelSelector(text: string): Selector {
  if (text.length > selectorCharsMax) throw refused(text.slice(0, 40), `longer than ${selectorCharsMax} characters`);
  return splitTerms(text).map((term) => parseTerm(term, text));
}

/** An absent selector selects nothing (undefined); an empty one everything. */
export function selectorOf(selector: LabelSelector | undefined): Selector | undefined {
  if (selector === undefined) return undefined;
  return [
    ...Object.entries(selector.matchLabels ?? {}).map(([key, value]) => equals(key, value)),
    ...(selector.matchExpressions ?? []).map(({ key, operator, values }) => ({
      key,
      operator: operator as Requirement["operator"],
      values: values ?? [],
    })),
  ];
}

export function matches(selector: Selector, labels: Labels | undefined): boolean {
  return selector.every((requirement) => holds(requirement, labels));
}

/** As text that parseLabelSelector reads back. */
export function formatSelector(selector: Selector): string {
  return selector.map(formatRequirement).join(",");
}

function equals(key: string, value: string): Requirement {
  return { key, operator: "In", values: [value] };
}

function holds({ key, operator, values }: Requirement, labels: Labels | undefined): boolean {
  const value = labels !== undefined && Object.hasOwn(labels, key) ? labels[key] : undefined;
  switch (operator) {
    case "In":
      return value !== undefined && values.includes(value);
    case "NotIn":
      return value === undefined || !values.includes(value);
    case "Exists":
      return value !== undefined;
    case "DoesNotExist":
      return value === undefined;
    case "Gt":
      return isInteger(value) && Number(value) > Number(values[0]);
    case "Lt":
      return isInteger(value) && Number(value) < Number(values[0]);
    default:
      return false;
  }
}

function isInteger(value: string | undefined): boolean {
  return value !== undefined && /^-?\d{1,15}$/.test(value);
}

function formatRequirement({ key, operator, values }: Requirement): string {
  switch (operator) {
    case "In":
      return values.length === 1 ? `${key}=${values[0]}` : `${key} in (${values.join(",")})`;
    case "NotIn":
      return values.length === 1 ? `${key}!=${values[0]}` : `${key} notin (${values.join(",")})`;
    case "Exists":
      return key;
    case "DoesNotExist":
      return `!${key}`;
    case "Gt":
      return `${key}>${values[0]}`;
    case "Lt":
      return `${key}<${values[0]}`;
  }
}

/** At the commas that stand outside of parentheses. */
function splitTerms(text: string): readonly string[] {
  if (text.trim() === "") return [];
  const terms: string[] = [];
  let depth = 0;
  let start = 0;
  for (let i = 0; i < text.length; i++) {
    if (text[i] === "(") depth++;
    else if (text[i] === ")") depth--;
    else if (text[i] === "," && depth === 0) {
      terms.push(text.slice(start, i));
      start = i + 1;
    }
  }
  return [...terms, text.slice(start)];
}

function parseTerm(term: string, text: string): Requirement {
  const requirement = readTerm(term.trim());
  if (requirement === undefined) throw refused(text, `cannot read ${JSON.stringify(term.trim())}`);
  const complaint = qualifiedName(requirement.key)[0];
  if (complaint !== undefined) throw refused(text, `key ${JSON.stringify(requirement.key)} ${complaint}`);
  const compares = requirement.operator === "Gt" || requirement.operator === "Lt";
  for (const value of requirement.values) {
    const wrong = compares && !isInteger(value) ? "must be an integer" : labelValue(value)[0];
    if (wrong !== undefined) throw refused(text, `value ${JSON.stringify(value)} ${wrong}`);
  }
  return requirement;
}

function readTerm(term: string): Requirement | undefined {
  const set = /^(\S+)\s+(in|notin)\s*\(([^()]*)\)$/.exec(term);
  if (set !== null) {
    const values = (set[3] ?? "").split(",").map((value) => value.trim());
    return { key: set[1] ?? "", operator: set[2] === "in" ? "In" : "NotIn", values };
  }
  const compare = /^([^\s=!<>]+)\s*(==|=|!=|<|>)\s*([^\s=!<>]*)$/.exec(term);
  if (compare !== null) {
    const values = [compare[3] ?? ""];
    const operators = { "=": "In", "==": "In", "!=": "NotIn", "<": "Lt", ">": "Gt" } as const;
    return { key: compare[1] ?? "", operator: operators[compare[2] as keyof typeof operators], values };
  }
  const exists = /^(!?)\s*([^\s=!<>()]+)$/.exec(term);
  if (exists === null) return undefined;
  return { key: exists[2] ?? "", operator: exists[1] === "!" ? "DoesNotExist" : "Exists", values: [] };
}

function refused(text: string, detail: string): ApiError {
  return new ApiError("BadRequest", `unable to parse label selector ${JSON.stringify(text)}: ${detail}`);
}
