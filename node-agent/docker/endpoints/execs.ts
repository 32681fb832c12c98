// Further processes in containers.
import type { Duplex } from "node:stream";
import { drain, type Exec } from "../containers/execs.ts";
import type { Door } from "../door.ts";
import { conflict, DockerProblem } from "../http/problem.ts";
import { empty, json, type Route, readJson, writeTo } from "../http/reply.ts";
import { frame } from "../http/server.ts";
import { streamType, terminalSize } from "./streams.ts";

export function execRoutes({ containers }: Door): readonly Route[] {
  const { execs } = containers;
  const find = (params: Readonly<Record<string, string>>) => execs.find(params["id"] ?? "");
  return [
    [
      "POST /containers/{id}/exec",
      async (call) => {
        const record = containers.find(call.params["id"] ?? "");
        const body = await readJson(call);
        return json({ Id: execs.create(record, body).id }, 201);
      },
    ],
    [
      "POST /exec/{id}/start",
      async (call) => {
        const exec = find(call.params);
        const body = await readJson(call);
        const size = body.has("ConsoleSize") ? body.numbers("ConsoleSize") : exec.size;
        if (body.flag("Detach")) {
          drain(await execs.start(exec, { size, stdin: false }));
          return empty(200);
        }
        const process = await execs.start(exec, { size, stdin: exec.stdin }).catch((error: unknown) => {
          // A client that asked for a stream shows no other refusal's words.
          if (!(error instanceof DockerProblem) || error.status !== 400) throw error;
          return error;
        });
        const contentType = streamType(exec.terminal, call.apiMinor);
        // Told where its output would have been; how it ended is asked for afterwards.
        if (process instanceof DockerProblem)
          return { type: "hijack", contentType, run: (client) => tell(client, exec, process.message) };
        return {
          type: "hijack",
          contentType,
          run: (client, gone) => execs.join(exec, process, client, gone),
        };
      },
    ],
    ["GET /exec/{id}/json", async ({ params }) => json(execs.show(find(params)))],
    [
      "POST /exec/{id}/resize",
      async ({ params, query }) => {
        const exec = find(params);
        if (!exec.started) throw conflict(`exec ${exec.id} is not running`);
        exec.process?.resize(terminalSize(query));
        return empty(200);
      },
    ],
  ];
}

function tell(client: Duplex, { terminal }: Exec, message: string): Promise<void> {
  const text = Buffer.from(`${message}\r\n`);
  return writeTo(client, terminal ? text : frame("stderr", text));
}
