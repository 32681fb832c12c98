// Kubernetes quantities: exact numbers with SI or binary suffixes ("250m", "64Mi", "1e3").
// Source: k8s.io/apimachinery/pkg/api/resource, documentation of type Quantity.

/** Exact value = `nanos` * 10^-9. */
export interface Quantity {
  readonly nanos: bigint;
  readonly format: "decimalSI" | "binarySI" | "decimalExponent";
}

const decimalExponents: Readonly<Record<string, number>> = {
  n: -9,
  u: -6,
  m: -3,
  "": 0,
  k: 3,
  M: 6,
  G: 9,
  T: 12,
  P: 15,
  E: 18,
};
const decimalSuffixes = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
const binarySuffixes = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
const exponentMax = 40;
const digitsMax = 100;
const one = 1_000_000_000n;
const valueMax = (2n ** 63n - 1n) * one;
const shape = /^([+-]?)(\d*)(?:\.(\d*))?(?:([KMGTPE]i)|([numkMGTPE])|[eE]([+-]?\d{1,3}))?$/;

/** undefined when the text is no quantity. Finer than 10^-9 is rounded up, away from zero; beyond 2^63-1 is cut, as in Kubernetes. */
export function parseQuantity(text: string | number): Quantity | undefined {
  const match = shape.exec(typeof text === "number" ? String(text) : text.trim());
  if (match === null || match[0].length > digitsMax) return undefined;
  const [, sign, whole = "", fraction = "", binary, decimal = "", exponent] = match;
  if (whole === "" && fraction === "") return undefined;
  const power = exponent === undefined ? (decimalExponents[decimal] ?? 0) : Number(exponent);
  if (Math.abs(power) > exponentMax) return undefined;
  const factor = binary === undefined ? 1n : 1024n ** BigInt(binarySuffixes.indexOf(binary));
  const magnitude = scale(BigInt(whole + fraction) * factor, power + 9 - fraction.length);
  const bounded = magnitude > valueMax ? valueMax : magnitude;
  return {
    nanos: sign === "-" ? -bounded : bounded,
    format: binary !== undefined ? "binarySI" : exponent !== undefined ? "decimalExponent" : "decimalSI",
  };
}

/** The canonical form, as Kubernetes prints it. */
function formatQuantity(quantity: Quantity): string {
  const { nanos, format } = quantity;
  if (nanos === 0n) return "0";
  const small = nanos > -1024n * one && nanos < 1024n * one;
  if (format === "binarySI" && !small && nanos % one === 0n) return formatBinary(nanos / one);
  let mantissa = nanos;
  let step = 0;
  while (mantissa % 1000n === 0n && step < decimalSuffixes.length - 1) {
    mantissa /= 1000n;
    step++;
  }
  if (format !== "decimalExponent") return `${mantissa}${decimalSuffixes[step] ?? ""}`;
  return step === 3 ? `${mantissa}` : `${mantissa}e${step * 3 - 9}`;
}

/** Canonical form of a quantity; text that is none stays as it is. */
export function canonicalQuantity(text: string | number): string {
  const quantity = parseQuantity(text);
  return quantity === undefined ? String(text) : formatQuantity(quantity);
}

/** < 0, 0, > 0; throws for text that is no quantity. */
export function compareQuantities(a: string | number, b: string | number): number {
  const difference = nanosOf(a) - nanosOf(b);
  return difference < 0n ? -1 : difference > 0n ? 1 : 0;
}

const plainMilli = /^\d{1,12}m$/;
const plainCount = /^\d{1,12}$/;
const plainBytes = /^(\d{1,6})(Ki|Mi|Gi)$/;

/** Thousandths of a core, rounded up; throws for text that is no quantity. */
export function cpuMilli(quantity: string | number): number {
  if (typeof quantity === "string") {
    if (plainMilli.test(quantity)) return Number(quantity.slice(0, -1));
    if (plainCount.test(quantity)) return Number(quantity) * 1000;
  }
  return Number(divideUp(nanosOf(quantity), 1_000_000n));
}

/** Whole bytes (or whole units of anything), rounded up; throws for text that is no quantity. */
export function bytes(quantity: string | number): number {
  if (typeof quantity === "string") {
    if (plainCount.test(quantity)) return Number(quantity);
    const match = plainBytes.exec(quantity);
    if (match !== null) return Number(match[1]) * 1024 ** binarySuffixes.indexOf(match[2] ?? "");
  }
  return Number(divideUp(nanosOf(quantity), one));
}

function nanosOf(text: string | number): bigint {
  const quantity = parseQuantity(text);
  if (quantity === undefined) throw new Error(`${JSON.stringify(text)} is not a quantity`);
  return quantity.nanos;
}

function formatBinary(units: bigint): string {
  let mantissa = units;
  let step = 0;
  while (mantissa % 1024n === 0n && step < binarySuffixes.length - 1) {
    mantissa /= 1024n;
    step++;
  }
  return `${mantissa}${binarySuffixes[step] ?? ""}`;
}

/** value * 10^power, rounded up; value is not negative. */
function scale(value: bigint, power: number): bigint {
  return power >= 0 ? value * 10n ** BigInt(power) : divideUp(value, 10n ** BigInt(-power));
}

/** Rounded towards positive infinity. */
function divideUp(value: bigint, by: bigint): bigint {
  const quotient = value / by;
  return value > 0n && value % by !== 0n ? quotient + 1n : quotient;
}
