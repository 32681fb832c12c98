// Reads JSON text with what JSON.parse leaves out: doubled fields, by path.
import { at, child } from "./path.ts";

const messagesMax = 100;

interface Frame {
  readonly path: string;
  /** undefined in an array. */
  readonly keys: Set<string> | undefined;
  index: number;
  name: string;
}

/** Messages in kubectl's form, `duplicate field "spec.replicas"`, for text that JSON.parse has accepted. */
export function duplicateFields(text: string): readonly string[] {
  const messages: string[] = [];
  const stack: Frame[] = [];
  let wantsKey = false;
  for (let i = 0; i < text.length; i++) {
    const frame = stack.at(-1);
    switch (text[i]) {
      case "{":
      case "[": {
        const keys = text[i] === "{" ? new Set<string>() : undefined;
        stack.push({ path: frame === undefined ? "" : pathIn(frame), keys, index: 0, name: "" });
        wantsKey = keys !== undefined;
        break;
      }
      case "}":
      case "]":
        stack.pop();
        wantsKey = false;
        break;
      case ",":
        if (frame !== undefined) frame.index++;
        wantsKey = frame?.keys !== undefined;
        break;
      case '"': {
        const end = endOfString(text, i);
        if (wantsKey && frame?.keys !== undefined) {
          frame.name = String(JSON.parse(text.slice(i, end + 1)));
          if (frame.keys.has(frame.name) && messages.length < messagesMax) {
            messages.push(`duplicate field ${JSON.stringify(pathIn(frame))}`);
          }
          frame.keys.add(frame.name);
          wantsKey = false;
        }
        i = end;
        break;
      }
    }
  }
  return messages;
}

/** Whether objects and lists lie in each other deeper than so, in text that JSON.parse has accepted: what follows goes down by calls. */
export function nestsDeeper(text: string, depthMax: number): boolean {
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const character = text[i];
    if (character === '"') i = endOfString(text, i);
    else if (character === "}" || character === "]") depth--;
    else if ((character === "{" || character === "[") && ++depth > depthMax) return true;
  }
  return false;
}

function pathIn(frame: Frame): string {
  return frame.keys === undefined ? at(frame.path, frame.index) : child(frame.path, frame.name);
}

/** Index of the closing quote of the string that opens at `start`. */
function endOfString(text: string, start: number): number {
  let i = start + 1;
  while (i < text.length && text[i] !== '"') i += text[i] === "\\" ? 2 : 1;
  return i;
}
