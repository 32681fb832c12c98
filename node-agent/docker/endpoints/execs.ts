// Further processes in containers.
import type { Duplex } from "node:stream";
import { sleep } from "../../../lib/clock.ts";
import type { ProcessStreams } from "../../runtime/runtime.ts";
import { drain, type Exec } from "../containers/execs.ts";
import type { Door } from "../door.ts";
import { conflict } from "../http/problem.ts";
import { empty, json, type Route, readJson, writeTo } from "../http/reply.ts";
import { frame } from "../http/server.ts";
import { streamType, terminalSize } from "./streams.ts";

/** How long a client that reads ahead has to read the answer's head alone. */
const headStartMs = 30;

export function execRoutes({ containers, parts }: Door): readonly Route[] {
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
        execs.checkStart(exec);
        const slow = readsAhead(call.headers["user-agent"]);
        return {
          type: "hijack",
          contentType: streamType(exec.terminal, call.apiMinor),
          // Only when the client knows that what follows is output.
          run: async (client, gone) => {
            if (slow) await sleep(parts.clock, headStartMs, gone);
            const process = await execs.start(exec, { size, stdin: exec.stdin }).catch((error: unknown) => error);
            // Told where its output would have been; how it ended is asked for afterwards.
            if (process instanceof Error) await tell(client, exec, process.message);
            else await execs.join(exec, process as ProcessStreams, client, gone);
          },
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

/** Python's library loses output that comes in one piece with the answer's head: its reader keeps what it has read ahead. */
function readsAhead(userAgent: string | undefined): boolean {
  return /^docker-(?:sdk-python|compose)\/|^python-/.test(userAgent ?? "");
}

function tell(client: Duplex, { terminal }: Exec, message: string): Promise<void> {
  const text = Buffer.from(`${message}\r\n`);
  return writeTo(client, terminal ? text : frame("stderr", text));
}
