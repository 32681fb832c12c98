// Rules of a workload's selector: it says something, and its own template's labels fit it.
import type { LabelSelector } from "./generated/types.ts";
import type { FieldError } from "./kind.ts";
import { complaints, validateLabels } from "./metadata.ts";
import { forbidden, immutable, invalid, oneOf, required } from "./schema/field-error.ts";
import { labelValue, qualifiedName } from "./schema/names.ts";
import { equal } from "./schema/patch-json.ts";
import { at, child } from "./schema/path.ts";
import { type Labels, matches, selectorOf } from "./schema/selector.ts";

/** `path` is that of the spec which has `selector` and `template`. */
export function validateSelector(
  selector: LabelSelector | undefined,
  templateLabels: Labels | undefined,
  path: string,
): readonly FieldError[] {
  const here = child(path, "selector");
  const requirements = selectorOf(selector);
  if (requirements === undefined) return [required(here)];
  if (requirements.length === 0)
    return [invalid(here, selector, "empty selector is invalid: it would select every pod")];
  const errors = [
    ...validateLabels(child(here, "matchLabels"), selector?.matchLabels),
    ...(selector?.matchExpressions ?? []).flatMap((e, i) => {
      const place = at(child(here, "matchExpressions"), i);
      const takesValues = e.operator === "In" || e.operator === "NotIn";
      const count = e.values?.length ?? 0;
      return [
        ...complaints(child(place, "key"), e.key, qualifiedName),
        ...oneOf(child(place, "operator"), e.operator, ["DoesNotExist", "Exists", "In", "NotIn"]),
        ...(takesValues && count === 0
          ? [required(child(place, "values"), "must be specified when `operator` is 'In' or 'NotIn'")]
          : []),
        ...(!takesValues && count > 0
          ? [forbidden(child(place, "values"), "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")]
          : []),
        ...(e.values ?? []).flatMap((value, v) => complaints(at(child(place, "values"), v), value, labelValue)),
      ];
    }),
  ];
  if (errors.length > 0 || matches(requirements, templateLabels)) return errors;
  const labels = child(path, "template.metadata.labels");
  return [invalid(labels, templateLabels ?? {}, "`selector` does not match template `labels`")];
}

interface Selecting {
  readonly spec?: { readonly selector?: LabelSelector };
}

/** Its pods are found by it: another one would leave them to nobody. */
export function selectorStays({ spec }: Selecting, old: Selecting): readonly FieldError[] {
  return equal(spec?.selector, old.spec?.selector) ? [] : [immutable("spec.selector", spec?.selector)];
}
