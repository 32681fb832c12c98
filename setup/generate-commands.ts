// Writes docs/reference/commands.md from the commands' own data.
import { mkdirSync, writeFileSync } from "node:fs";
import { renderReference } from "../cli/reference.ts";

const folder = new URL("../docs/reference/", import.meta.url).pathname;
mkdirSync(folder, { recursive: true });
writeFileSync(`${folder}commands.md`, await renderReference());
