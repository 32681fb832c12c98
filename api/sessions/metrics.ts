// Metrics of the nodes' sessions.
import { Counter, Gauge, type Registry } from "prom-client";

export interface SessionReadings {
  readonly sessions: () => number;
  readonly streams: () => number;
  readonly reportsPending: () => number;
  readonly eventsDropped: () => number;
  /** Seconds since the last sign of life of each node that has dialled in. */
  readonly heartbeatAges: () => Iterable<readonly [node: string, seconds: number]>;
}

export interface SessionMetrics {
  readonly assignments: Counter<"type">;
  readonly assignmentBytes: Counter;
  readonly nodesLost: Counter;
}

export function sessionMetrics(registry: Registry, readings: SessionReadings): SessionMetrics {
  const registers = [registry];
  const gauge = (name: string, help: string, read: () => number) =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read());
      },
    });
  gauge("naru_node_sessions", "Agents whose session with this server is up.", readings.sessions);
  gauge("naru_node_streams", "Log, exec, attach, port-forward and image streams to nodes.", readings.streams);
  gauge("naru_node_pod_reports_pending", "Pods whose reported status is not written yet.", readings.reportsPending);
  new Gauge({
    name: "naru_node_heartbeat_age_seconds",
    help: "Time since the last sign of life of a node.",
    labelNames: ["node"],
    registers,
    collect() {
      this.reset();
      for (const [node, seconds] of readings.heartbeatAges()) this.set({ node }, seconds);
    },
  });
  let dropped = 0;
  new Counter({
    name: "naru_node_events_dropped_total",
    help: "Events of agents that were refused or came too fast.",
    registers,
    collect() {
      const now = readings.eventsDropped();
      this.inc(now - dropped);
      dropped = now;
    },
  });
  return {
    assignments: new Counter({
      name: "naru_node_assignments_total",
      help: "Assignments sent to agents, whole states and changes.",
      labelNames: ["type"],
      registers,
    }),
    assignmentBytes: new Counter({
      name: "naru_node_assignment_bytes_total",
      help: "Size of the objects in assignments that were sent to agents.",
      registers,
    }),
    nodesLost: new Counter({
      name: "naru_node_lost_total",
      help: "How often a node fell silent and was marked.",
      registers,
    }),
  };
}
