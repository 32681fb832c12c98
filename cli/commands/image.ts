// naru image: what is in nodes' layer stores, and what goes in and out of them.
import { type Command, connectionOptions, UsageError } from "../command.ts";
import { connect } from "../connection.ts";
import { actions } from "../images/actions.ts";
import { nodesFor } from "../images/ask-node.ts";

const names = actions.map(({ name }) => name);

export const image: Command = {
  name: "image",
  summary: "Images on nodes: list, pull, push, tag, import, save, remove, look into, log in",
  usage: `image ${names.join("|")} [ARGUMENT…] [--node NAME]`,
  examples: [
    "naru image ls",
    "naru image pull docker.io/library/nginx:1.27",
    "docker save web:1 | naru image import -",
    "naru image tag web:1 registry.local/web:1",
    "naru image push registry.local/web:1",
    "naru image save web:1 --output web.tar",
    "naru image rm web:1 --node node-2",
    "naru image search registry.local/web",
    "naru image login registry.local --username ann < password.txt",
  ],
  options: {
    ...connectionOptions,
    node: {
      type: "string",
      value: "NAME",
      help: "only on this node (default: every node; for push and save the first that has it)",
      complete: { type: "objects", kind: "nodes" },
    },
    force: {
      type: "boolean",
      short: "f",
      help: "rm: all names of an id; also of an image that stopped containers use",
    },
    all: { type: "boolean", short: "a", help: "prune: also images that have a name" },
    output: { type: "string", short: "o", value: "FILE", help: "save: where to (default: standard output)" },
    oci: { type: "boolean", help: "save: an OCI layout only" },
    platform: {
      type: "string",
      value: "OS/ARCH",
      help: "pull: which of an image for several, such as linux/arm64; default: the node's own",
    },
    zstd: { type: "boolean", help: "push: compress layers that were made here with zstd" },
    username: { type: "string", short: "u", value: "NAME", help: "login: who; the password comes on standard input" },
  },
  arguments: [{ type: "words", words: names }, { type: "files" }],
  run: async (invocation) => {
    const [name = "ls", ...args] = invocation.positionals;
    const action = actions.find((each) => each.name === name);
    if (action === undefined) throw new UsageError(`image takes ${names.join(", ")}, got ${JSON.stringify(name)}`);
    if (action.takes !== "" && args.length === 0) throw new UsageError(`image ${name} takes ${action.takes}`);
    const connection = await connect(invocation);
    try {
      await action.run({ connection, invocation, nodes: await nodesFor(connection, invocation), args });
    } finally {
      connection.close();
    }
    return 0;
  },
};
