// Paths in Compose files count from the folder of the first file.
import { isAbsolute, join } from "node:path";

export function fileBeside(directory: string, file: string): string {
  return isAbsolute(file) ? file : join(directory, file);
}
