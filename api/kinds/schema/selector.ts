// Label and field selectors, as query text and as LabelSelector objects.
import type { LabelSelector } from "../generated/types.ts";

export type Labels = Readonly<Record<string, string>>;

export interface Requirement {
  readonly key: string;
  readonly operator: "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt";
  readonly values: readonly string[];
}

/** All must hold; an empty list selects everything. */
export type Selector = readonly Requirement[];

/** "app=web,tier in (a,b),!canary"; refuses with ApiError BadRequest. */
export function parseLabelSelector(text: string): Selector {
  throw new Error(`not done ${text}`);
}

/** An absent selector selects nothing (undefined); an empty one everything. */
export function selectorOf(selector: LabelSelector | undefined): Selector | undefined {
  throw new Error(`not done ${selector}`);
}

export function matches(selector: Selector, labels: Labels | undefined): boolean {
  throw new Error(`not done ${selector} ${labels}`);
}

/** As text that parseLabelSelector reads back. */
export function formatSelector(selector: Selector): string {
  throw new Error(`not done ${selector}`);
}

export interface FieldRequirement {
  readonly field: string;
  readonly equal: boolean;
  readonly value: string;
}

/** "status.phase!=Running,spec.nodeName=a"; refuses with ApiError BadRequest. */
export function parseFieldSelector(text: string): readonly FieldRequirement[] {
  throw new Error(`not done ${text}`);
}

/**
 * A predicate over objects: `fields` are the kind's selectableFields; metadata.name and metadata.namespace are always there.
 * Refuses with ApiError BadRequest when a field is none of them.
 */
export function fieldMatcher<T extends object>(
  requirements: readonly FieldRequirement[],
  fields: Readonly<Record<string, (object: T) => string>>,
): (object: T) => boolean {
  throw new Error(`not done ${requirements} ${fields}`);
}
