// The values in a server-side apply: laying the applied object over the live one, and taking away what is applied no more.
import { type Fields, joinParts, type Part, partsOf, wholeField } from "./field-set.ts";
import { inOrder } from "./list-order.ts";
import type { Schemas } from "./schema.ts";

/** The live value with all that is applied in it. */
export function layOver(live: Part, applied: Part, schemas: Schemas): unknown {
  const [below, above] = [partsOf(live, schemas), partsOf(applied, schemas)];
  if (below === undefined || above === undefined || Array.isArray(live.value) !== Array.isArray(applied.value))
    return applied.value;
  const parts = new Map(below);
  for (const [element, part] of above) {
    const under = below.get(element);
    parts.set(element, under === undefined ? part : { ...part, value: layOver(under, part, schemas) });
  }
  if (!Array.isArray(live.value)) return joinParts(parts, live.value);
  const elements = inOrder([...parts.keys()], {
    order: [...above.keys()],
    before: [...below.keys()],
    keyOf: (element) => element,
  });
  return elements.map((element) => parts.get(String(element))?.value);
}

/** The value without the fields of `last` that nothing in `kept` holds; a field that goes takes its parts along. */
export function takeAway(
  part: Part,
  fields: { readonly last: Fields; readonly kept: Fields | undefined },
  schemas: Schemas,
): unknown {
  const parts = partsOf(part, schemas);
  if (parts === undefined) return part.value;
  const result = new Map(parts);
  for (const [element, last] of fields.last) {
    const kept = fields.kept?.get(element);
    const child = parts.get(element);
    if (child === undefined) continue;
    if (kept === undefined) result.delete(element);
    else result.set(element, { ...child, value: takeAway(child, { last, kept: withKeys(kept, element) }, schemas) });
  }
  return joinParts(result, part.value);
}

/** An element that stays keeps the fields that tell it from the others. */
function withKeys(kept: Fields, element: string): Fields {
  if (!element.startsWith("k:")) return kept;
  return new Map([
    ...kept,
    ...Object.keys(JSON.parse(element.slice(2))).map((name) => [`f:${name}`, wholeField] as const),
  ]);
}
