// Values that are a number of pods or a percentage of them: maxUnavailable, maxSurge.
import type { IntOrString } from "./generated/types.ts";
import type { FieldError } from "./kind.ts";
import { atLeast } from "./pod-validate.ts";
import { invalid } from "./schema/field-error.ts";

/** The number of pods that `value` is of `whole`; percentages are rounded by `round`. */
export function portionOf(value: IntOrString, whole: number, round: (value: number) => number): number {
  if (typeof value === "string" && value.endsWith("%")) return round((Number.parseInt(value, 10) * whole) / 100);
  return Number(value);
}

export function portionErrors(value: IntOrString, path: string): readonly FieldError[] {
  if (typeof value === "number") return atLeast(path, value, 0);
  return /^\d{1,9}%$/.test(value) ? [] : [invalid(path, value, 'must be an integer or a percentage, such as "25%"')];
}

/** Percentages above 100 make no sense where pods are taken away. */
export function unavailableErrors(value: IntOrString, path: string): readonly FieldError[] {
  return [
    ...portionErrors(value, path),
    ...(typeof value === "string" && Number.parseInt(value, 10) > 100
      ? [invalid(path, value, "must not be greater than 100%")]
      : []),
  ];
}

export function isZero(value: IntOrString): boolean {
  return value === 0 || /^0+%$/.test(String(value));
}
