// Docker's credential helpers (docker-credential-helpers protocol): programs named docker-credential-NAME that take get, store or erase.
// Cloud registries' short-lived tokens (ECR, Artifact Registry, ACR) come this way.
import { spawn } from "node:child_process";
import type { RegistryCredentials } from "./images.ts";

const answerBytesMax = 64 * 1024;
const answerMsMax = 30_000;

/** Undefined when the helper has none; rejects when it fails otherwise. */
export async function getCredentials(helper: string, server: string): Promise<RegistryCredentials | undefined> {
  const answer = await runCredentialHelper(helper, "get", server);
  if (answer === undefined) return undefined;
  const { Username: username, Secret: password } = JSON.parse(answer) as Record<string, unknown>;
  return typeof username === "string" && typeof password === "string" ? { username, password } : undefined;
}

/** Its output; undefined when it does not know the server. Names are names, never paths: a file chooses among what is installed. */
export async function runCredentialHelper(
  name: string,
  action: "get" | "store" | "erase",
  input: string,
): Promise<string | undefined> {
  if (!/^[\w.-]+$/.test(name)) throw new Error(`credential helper ${JSON.stringify(name)} is no program's name`);
  const program = `docker-credential-${name}`;
  const child = spawn(program, [action], { stdio: ["pipe", "pipe", "ignore"], timeout: answerMsMax });
  child.stdin.on("error", () => {});
  child.stdin.end(input);
  let text = "";
  child.stdout.on("data", (part: Buffer) => {
    if (text.length < answerBytesMax) text += part.toString();
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on("error", (cause) => reject(new Error(`${program} cannot be run: install it`, { cause })));
    child.on("close", resolve);
  });
  if (code === 0) return text;
  if (/credentials not found/i.test(text)) return undefined;
  throw new Error(`${program} ${action} failed: ${text.trim().slice(0, 500)}`);
}

/** What helpers and Docker's config file call a registry. */
export function serverKey(host: string): string {
  return host === "docker.io" ? "https://index.docker.io/v1/" : host;
}
