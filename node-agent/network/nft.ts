// Runs nft: one transaction per call, all or nothing.
import { spawn } from "node:child_process";

const errorBytesMax = 4096;

/** Applies `text` as one transaction; resolves with what it lists, rejects with what nft said. */
export function runNft(nft: string, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(nft, ["-f", "-"], { stdio: ["pipe", "pipe", "pipe"] });
    let errors = "";
    let listed = "";
    child.stdout.on("data", (bytes: Buffer) => {
      listed += bytes.toString();
    });
    child.stderr.on("data", (bytes: Buffer) => {
      if (errors.length < errorBytesMax) errors += bytes.toString();
    });
    child.on("error", (cause) => reject(new Error(`run ${nft}`, { cause })));
    child.on("close", (code) => {
      if (code === 0) resolve(listed);
      else reject(new Error(`nft: ${errors.slice(0, errorBytesMax).trim()} (exit ${code})`));
    });
    // It may end before it has read everything; its exit says why.
    child.stdin.on("error", () => {});
    child.stdin.end(text);
  });
}
