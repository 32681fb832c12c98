// A registry that tells what it was asked: a door before a real one.
import { createServer, request } from "node:http";
import { startRegistry, type TestRegistry } from "./registry.ts";

export interface HeardRegistry extends AsyncDisposable {
  /** Behind the door: what is pushed there is not heard. */
  readonly registry: TestRegistry;
  /** Manifests and blobs that were fetched, in order: "GET /v2/…". */
  fetched(): readonly string[];
  /** The door alone. */
  close(): Promise<void>;
}

/** Answers at an address that others reach. */
export async function startHeardRegistry(host: string, port: number): Promise<HeardRegistry> {
  const registry = await startRegistry();
  const [hostname, registryPort] = registry.host.split(":");
  const heard: string[] = [];
  const door = createServer((asked, answer) => {
    heard.push(`${asked.method} ${asked.url}`);
    const passed = request(
      { hostname, port: registryPort, method: asked.method, path: asked.url, headers: asked.headers },
      (response) => {
        answer.writeHead(response.statusCode ?? 500, response.headers);
        response.pipe(answer);
      },
    );
    passed.on("error", () => answer.destroy());
    asked.pipe(passed);
  }).listen(port, host);
  const close = async () => {
    door.closeAllConnections();
    if (door.listening) await new Promise((resolve) => door.close(resolve));
  };
  return {
    registry,
    close,
    fetched: () => heard.filter((line) => line.startsWith("GET ") && /\/(manifests|blobs)\//.test(line)),
    [Symbol.asyncDispose]: async () => {
      await close();
      await registry[Symbol.asyncDispose]();
    },
  };
}
