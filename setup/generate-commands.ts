// Writes docs/reference/commands.md from the commands' own data, compose.md from the fields that read Compose files.
import { mkdirSync, writeFileSync } from "node:fs";
import { renderReference } from "../cli/reference.ts";
import { renderComposeKeys } from "../compose/reference.ts";

const folder = new URL("../docs/reference/", import.meta.url).pathname;
mkdirSync(folder, { recursive: true });
writeFileSync(`${folder}commands.md`, await renderReference());
writeFileSync(`${folder}compose.md`, renderComposeKeys());
