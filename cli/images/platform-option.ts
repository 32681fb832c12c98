// --platform: which of an index's images is meant.
import { readPlatform } from "../../node-agent/build/platforms.ts";
import type { Platform } from "../../node-agent/images/library.ts";
import { type Invocation, UsageError } from "../command.ts";

export function readPlatformOption(invocation: Invocation): { readonly platform?: Platform } {
  const text = invocation.text("platform");
  if (text === undefined) return {};
  const platform = readPlatform(text);
  if (platform === undefined) throw new UsageError(`--platform takes such as linux/arm64, got ${JSON.stringify(text)}`);
  return { platform };
}
