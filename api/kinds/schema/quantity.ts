// Kubernetes quantities: exact numbers with SI or binary suffixes ("250m", "64Mi", "1e3").

/** Exact value = `mantissa` * 10^-9. */
export interface Quantity {
  readonly nanos: bigint;
  readonly format: "decimalSI" | "binarySI" | "decimalExponent";
}

/** undefined when the text is no quantity. */
export function parseQuantity(text: string | number): Quantity | undefined {
  throw new Error(`not done ${text}`);
}

/** The canonical form, as Kubernetes prints it. */
export function formatQuantity(quantity: Quantity): string {
  throw new Error(`not done ${quantity}`);
}

/** Canonical form of a quantity; text that is none stays as it is. */
export function canonicalQuantity(text: string | number): string {
  throw new Error(`not done ${text}`);
}

/** < 0, 0, > 0; throws for text that is no quantity. */
export function compareQuantities(a: string | number, b: string | number): number {
  throw new Error(`not done ${a} ${b}`);
}

/** Thousandths of a core, rounded up; throws for text that is no quantity. */
export function cpuMilli(quantity: string | number): number {
  throw new Error(`not done ${quantity}`);
}

/** Whole bytes (or whole units of anything), rounded up; throws for text that is no quantity. */
export function bytes(quantity: string | number): number {
  throw new Error(`not done ${quantity}`);
}
