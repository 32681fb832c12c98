// The simulated server: api, controllers, scheduler and sessions over the store, each a process that can be killed; and started again.
import { componentUser } from "../../api/authentication/user.ts";
import { type Api, openApi } from "../../api/server.ts";
import { openSessions } from "../../api/sessions/sessions.ts";
import type { Store } from "../../api/store/store.ts";
import type { Client } from "../../client/client.ts";
import { inProcessClient } from "../../client/in-process.ts";
import { createRecorder } from "../../client/recorder.ts";
import { startControllers } from "../../controllers/start.ts";
import { type Clock, sleep } from "../../lib/clock.ts";
import type { Logger } from "../../lib/log.ts";
import type { Random } from "../../lib/random.ts";
import type { ServerMessage } from "../../proto/generated/node_pb.ts";
import type { Link, SessionHost } from "../../proto/transport.ts";
import { defaultProfile } from "../../scheduler/profile.ts";
import { startScheduler } from "../../scheduler/scheduler.ts";
import type { Component } from "./faults.ts";
import { clientOf, openProcess, type Process, storeOf } from "./process.ts";

export interface ServerParts {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly note: (...what: readonly (string | number)[]) => void;
}

export interface SimulatedServer {
  /** Where agents get through to; undefined while sessions are down. */
  readonly host: SessionHost | undefined;
  /** For users; undefined until the API is open. */
  readonly client: Client | undefined;
  readonly process: Process;
  kill(): void;
  killComponent(component: Component, downMs: number): void;
  /** Ends everything in order. */
  stop(): Promise<void>;
}

const restartMs = 500;
const evictAfterMs = 2000;
const startGraceMs = 3000;

interface Running extends AsyncDisposable {
  readonly host?: SessionHost;
}

export function startServer(parts: ServerParts): SimulatedServer {
  const { clock, random, log, note } = parts;
  const main = openProcess(clock);
  const children = new Map<Component, { readonly process: Process; running: Running | undefined }>();
  let api: { readonly opened: Api; readonly process: Process } | undefined;
  let stopping = false;

  const clientFor = (process: Process, { verbs }: Api, name: string) =>
    clientOf(process, inProcessClient({ verbs, user: componentUser(name) }));

  // A start that fails is a process that exits; whoever looks after it starts it again.
  const openTheApi = async () => {
    while (main.alive && !stopping) {
      const process = openProcess(clock);
      main.onKill(process.kill);
      try {
        const opened = await openApi({ store: storeOf(process, parts.store), clock: process.clock, random, log });
        note("api is open");
        api = { opened, process };
        for (const component of components) startComponent(component);
        return;
      } catch (error) {
        note("api failed to start", String(error));
        process.kill();
        await sleep(clock, restartMs);
      }
    }
  };

  const startComponent = (component: Component): void => {
    if (api === undefined || stopping || !main.alive) return;
    const { opened } = api;
    const process = openProcess(clock);
    main.onKill(process.kill);
    const child: { readonly process: Process; running: Running | undefined } = { process, running: undefined };
    children.set(component, child);
    const client = clientFor(process, opened, names[component]);
    begin(component, process, client).then(
      (running) => {
        child.running = running;
        note(component, "runs");
      },
      (error) => {
        note(component, "failed to start", String(error));
        process.kill();
        clock.after(restartMs, () => startComponent(component));
      },
    );
  };

  const begin = async (component: Component, process: Process, client: Client): Promise<Running> => {
    const own = { client, clock: process.clock, random, log };
    switch (component) {
      case "sessions":
        return hostIn(process, await openSessions(own));
      case "controllers": {
        const recorder = createRecorder({ ...own, component: names.controllers });
        return startControllers({
          ...own,
          recorder,
          evictAfterMs,
          startGraceMs,
          clusterCidr: "10.244.0.0/16",
          authorityPem: "simulated",
        });
      }
      case "scheduler": {
        const recorder = createRecorder({ ...own, component: names.scheduler });
        return startScheduler({ ...own, recorder, profile: defaultProfile, schedulerName: "default-scheduler" });
      }
    }
  };

  void openTheApi();

  return {
    process: main,
    get host() {
      const child = children.get("sessions");
      return child?.process.alive === true ? child.running?.host : undefined;
    },
    get client() {
      if (api === undefined || !main.alive || stopping) return undefined;
      return inProcessClient({ verbs: api.opened.verbs, user: { name: "user", groups: ["system:masters"] } });
    },
    kill: main.kill,
    killComponent: (component, downMs) => {
      const child = children.get(component);
      if (child?.process.alive !== true) return;
      child.process.kill();
      clock.after(downMs, () => startComponent(component));
    },
    stop: async () => {
      stopping = true;
      for (const { process, running } of children.values()) if (process.alive) await running?.[Symbol.asyncDispose]();
      await api?.opened[Symbol.asyncDispose]();
      main.kill();
    },
  };
}

const components: readonly Component[] = ["controllers", "scheduler", "sessions"];
const names: Readonly<Record<Component, string>> = {
  controllers: "kube-controller-manager",
  scheduler: "kube-scheduler",
  sessions: "node-sessions",
};

// Connections of a process that dies are reset by its kernel.
function hostIn(process: Process, sessions: SessionHost & AsyncDisposable): Running {
  const links = new Set<Link<ServerMessage>>();
  process.onKill(() => {
    for (const link of links) link.close("connection reset");
  });
  return {
    host: {
      acceptStream: sessions.acceptStream,
      acceptSession: (node, link) => {
        links.add(link);
        const events = sessions.acceptSession(node, link);
        return {
          onMessage: (message) => process.alive && events.onMessage(message),
          onDrain: () => process.alive && events.onDrain(),
          onClose: (reason) => {
            links.delete(link);
            if (process.alive) events.onClose(reason);
          },
        };
      },
    },
    [Symbol.asyncDispose]: () => sessions[Symbol.asyncDispose](),
  };
}
