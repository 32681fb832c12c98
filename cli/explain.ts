// What went wrong, for whom typed the command.
import { ApiError } from "../api/kinds/status.ts";
import { red } from "./terminal.ts";

/** On standard error, as every command tells it. */
export function complain(error: unknown): void {
  console.error(`${red("Error:")} ${explain(error)}`);
}

/** The message with what it came from, innermost last; stack traces are for NARU_DEBUG. */
export function explain(error: unknown): string {
  if (process.env["NARU_DEBUG"] !== undefined && error instanceof Error) return `${error.stack}`;
  if (!(error instanceof Error)) return String(error);
  const prefix = error instanceof ApiError && error.reason !== "Invalid" ? `from server (${error.reason}): ` : "";
  // Some libraries put what it came from into the message too.
  const isNew = error.cause instanceof Error && !error.message.includes(error.cause.message);
  const cause = isNew ? `: ${explain(error.cause)}` : "";
  return `${prefix}${error.message}${cause}`;
}
