// All subcommands. Each is loaded only when it is used, so that `naru get` does not pay for a server.
import type { Command } from "./command.ts";

export interface CommandEntry {
  readonly name: string;
  readonly summary: string;
  readonly load: () => Promise<Command>;
  /** For scripts, not for people. */
  readonly hidden?: true;
}

export const commands: readonly CommandEntry[] = [
  {
    name: "up",
    summary: "Run a whole cluster on this machine",
    load: async () => (await import("./commands/up.ts")).up,
  },
  { name: "server", summary: "Run a control plane", load: async () => (await import("./commands/server.ts")).server },
  {
    name: "agent",
    summary: "Make this machine a node of a cluster",
    load: async () => (await import("./commands/agent.ts")).agent,
  },
  {
    name: "node",
    summary: "End this node's pods in order",
    load: async () => (await import("./commands/node.ts")).node,
  },
  {
    name: "token",
    summary: "Print a token with which a node may join",
    load: async () => (await import("./commands/token.ts")).token,
  },
  {
    name: "apply",
    summary: "Make the cluster match YAML files",
    load: async () => (await import("./commands/apply.ts")).apply,
  },
  { name: "get", summary: "List objects", load: async () => (await import("./commands/get.ts")).get },
  {
    name: "describe",
    summary: "Show all about an object, with its Events",
    load: async () => (await import("./commands/describe.ts")).describe,
  },
  {
    name: "scale",
    summary: "Change how many replicas run",
    load: async () => (await import("./commands/scale.ts")).scale,
  },
  { name: "delete", summary: "Delete objects", load: async () => (await import("./commands/delete.ts")).deleteCommand },
  {
    name: "logs",
    summary: "Print what a container wrote",
    load: async () => (await import("./commands/logs.ts")).logs,
  },
  {
    name: "exec",
    summary: "Run a command in a container",
    load: async () => (await import("./commands/exec.ts")).exec,
  },
  {
    name: "attach",
    summary: "Join a running container's input and output",
    load: async () => (await import("./commands/attach.ts")).attach,
  },
  {
    name: "port-forward",
    summary: "Reach a pod's ports from this machine",
    load: async () => (await import("./commands/port-forward.ts")).portForward,
  },
  {
    name: "cp",
    summary: "Copy files from and to a container",
    load: async () => (await import("./commands/cp.ts")).cp,
  },
  {
    name: "debug",
    summary: "Add a container with tools to a running pod",
    load: async () => (await import("./commands/debug.ts")).debug,
  },
  {
    name: "top",
    summary: "Show what nodes and pods use",
    load: async () => (await import("./commands/top.ts")).top,
  },
  {
    name: "rollout",
    summary: "Watch or undo an update",
    load: async () => (await import("./commands/rollout.ts")).rollout,
  },
  {
    name: "compose",
    summary: "Run a Compose file's services in the cluster",
    load: async () => (await import("./commands/compose.ts")).compose,
  },
  {
    name: "build",
    summary: "Make an image from a Dockerfile",
    load: async () => (await import("./commands/build.ts")).build,
  },
  {
    name: "image",
    summary: "Images on nodes: list, pull, push, tag, import, save, remove, look into, log in",
    load: async () => (await import("./commands/image.ts")).image,
  },
  {
    name: "store",
    summary: "Back up a cluster's state, restore it, or move it to another store",
    load: async () => (await import("./commands/store.ts")).store,
  },
  {
    name: "doctor",
    summary: "Tell what this machine lacks and how to get it",
    load: async () => (await import("./commands/doctor.ts")).doctor,
  },
  {
    name: "completion",
    summary: "Print shell completion for bash, zsh or fish",
    load: async () => (await import("./commands/completion.ts")).completion,
  },
  {
    name: "complete",
    summary: "Print what could follow, for shell completion",
    load: async () => (await import("./commands/complete.ts")).complete,
    hidden: true,
  },
];
