// Reads JSON text with what JSON.parse leaves out: doubled fields, by path.

/** Messages in kubectl's form, `duplicate field "spec.replicas"`, for text that JSON.parse has accepted. */
export function duplicateFields(text: string): readonly string[] {
  throw new Error(`not done ${text}`);
}
