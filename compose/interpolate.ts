// Variables in Compose files: $NAME, ${NAME}, ${NAME:-default}, ${NAME-default}, ${NAME:?message}, ${NAME?message},
// ${NAME:+instead}, ${NAME+instead}, nested, and $$ for a dollar sign (Compose specification, 12-interpolation.md).
import { ComposeError, type Node, type Place } from "./nodes.ts";

export type Variables = Readonly<Record<string, string>>;

export interface Interpolation {
  readonly variables: Variables;
  /** Told of variables that are not set and have no default: they count as empty. */
  readonly onUnset: (name: string, place: Place) => void;
}

const depthMax = 20;

/** The same tree with the variables in its values (not its keys) replaced. */
export function interpolateNode(node: Node, interpolation: Interpolation): Node {
  switch (node.type) {
    case "scalar":
      return typeof node.value === "string" && node.value.includes("$")
        ? { ...node, value: interpolate(node.value, node.place, interpolation) }
        : node;
    case "list":
      return { ...node, items: node.items.map((item) => interpolateNode(item, interpolation)) };
    case "map":
      return {
        ...node,
        entries: new Map([...node.entries].map(([key, value]) => [key, interpolateNode(value, interpolation)])),
      };
  }
}

/** Throws a ComposeError for what is no variable, and for a required one that is missing. */
export function interpolate(text: string, place: Place, interpolation: Interpolation, depth = 0): string {
  if (depth > depthMax) throw new ComposeError(place, `variables are nested deeper than ${depthMax}`);
  let result = "";
  for (let at = 0; at < text.length; ) {
    const dollar = text.indexOf("$", at);
    if (dollar < 0) return result + text.slice(at);
    result += text.slice(at, dollar);
    if (text[dollar + 1] === "$") {
      result += "$";
      at = dollar + 2;
    } else if (text[dollar + 1] === "{") {
      const end = closingBrace(text, dollar + 2);
      if (end < 0)
        throw new ComposeError(place, `${text.slice(dollar)} lacks its closing brace; write $$ for a dollar sign`);
      result += expand(text.slice(dollar + 2, end), place, interpolation, depth);
      at = end + 1;
    } else {
      const name = /^[A-Za-z_][A-Za-z0-9_]*/.exec(text.slice(dollar + 1))?.[0];
      if (name === undefined) throw new ComposeError(place, `${JSON.stringify(text)}: write $$ for a dollar sign`);
      result += variableValue(name, place, interpolation);
      at = dollar + 1 + name.length;
    }
  }
  return result;
}

function expand(expression: string, place: Place, interpolation: Interpolation, depth: number): string {
  const [, name, operator, rest = ""] = /^([A-Za-z_][A-Za-z0-9_]*)(?:(:?[-?+])([\s\S]*))?$/.exec(expression) ?? [];
  if (name === undefined)
    throw new ComposeError(
      place,
      `\${${expression}} is no variable: a name is letters, digits and "_", then :-, :? or :+`,
    );
  if (operator === undefined) return variableValue(name, place, interpolation);
  const value = interpolation.variables[name];
  const isSet = value !== undefined && (value !== "" || !operator.startsWith(":"));
  const otherwise = () => interpolate(rest, place, interpolation, depth + 1);
  switch (operator.at(-1)) {
    case "-":
      return isSet ? (value ?? "") : otherwise();
    case "+":
      return isSet ? otherwise() : "";
    default:
      if (isSet) return value ?? "";
      throw new ComposeError(place, `variable ${name} is missing${rest === "" ? "" : `: ${otherwise()}`}`);
  }
}

function variableValue(name: string, place: Place, { variables, onUnset }: Interpolation): string {
  const value = variables[name];
  if (value === undefined) onUnset(name, place);
  return value ?? "";
}

function closingBrace(text: string, from: number): number {
  for (let at = from, open = 1; at < text.length; at++) {
    if (text[at] === "{" && text[at - 1] === "$") open++;
    if (text[at] === "}" && --open === 0) return at;
  }
  return -1;
}
