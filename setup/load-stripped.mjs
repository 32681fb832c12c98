// Loaded ahead by `up`, `server` and `agent`: sources come without their types from where strip.sh has put them, unless they changed since.
// Node's own compile cache spares the stripping as well, but keeps all that it has read in memory for as long as the process lives.
import { readFileSync, statSync } from "node:fs";
import { registerHooks } from "node:module";
import { fileURLToPath } from "node:url";

const root = new URL("..", import.meta.url).href;
const stripped = new URL("../.cache/stripped/", import.meta.url).href;

registerHooks({
  load(url, context, nextLoad) {
    const source = url.startsWith(root) && url.endsWith(".ts") ? strippedOf(url) : undefined;
    return source === undefined ? nextLoad(url, context) : { format: "module", source, shortCircuit: true };
  },
});

function strippedOf(url) {
  const path = fileURLToPath(stripped + url.slice(root.length));
  const { mtimeMs } = statSync(path, { throwIfNoEntry: false }) ?? {};
  const isNew = mtimeMs !== undefined && mtimeMs >= statSync(fileURLToPath(url)).ctimeMs;
  return isNew ? readFileSync(path, "utf8") : undefined;
}
