// What `kubectl apply` noted of an object before it came to apply on the server's side: nobody else's, so nobody is in its way.
// Source: Kubernetes documentation, "Server-Side Apply", upgrading from client-side apply.
import { compareFields, difference, type Fields, fieldsOf } from "./field-set.ts";
import { isObject, type JsonObject, type Schema, type Schemas } from "./schema.ts";

const lastApplied = "kubectl.kubernetes.io/last-applied-configuration";
/** Other managers take nothing over by the note. */
const kubectl = "kubectl";

/** Fields of `live` that kubectl set and that nobody has given another value since. */
export function clientApplied(
  live: JsonObject,
  manager: string,
  { schema, schemas }: { readonly schema: Schema; readonly schemas: Schemas },
): Fields | undefined {
  const note = manager === kubectl ? readNote(live) : undefined;
  if (note === undefined) return undefined;
  const before = { value: note, schema };
  const { changed, removed } = compareFields(before, { value: live, schema }, schemas);
  const left = difference(fieldsOf(before, schemas), changed);
  return left === undefined ? undefined : difference(left, removed);
}

function readNote(live: JsonObject): JsonObject | undefined {
  const metadata = live["metadata"];
  const annotations = isObject(metadata) ? metadata["annotations"] : undefined;
  const text = isObject(annotations) ? annotations[lastApplied] : undefined;
  if (typeof text !== "string") return undefined;
  try {
    const note: unknown = JSON.parse(text);
    return isObject(note) ? note : undefined;
  } catch {
    return undefined;
  }
}
