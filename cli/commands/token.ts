// naru token: what `naru agent --join` asks for.
import { type Command, connectionOptions, numberOption } from "../command.ts";
import { connect } from "../connection.ts";

export const token: Command = {
  name: "token",
  summary: "Print a token with which a node may join",
  usage: "token [--ttl SECONDS]",
  examples: ["naru token", "ssh node-7 naru agent --server https://10.0.0.1:6443 --join $(naru token --ttl 600)"],
  options: {
    ...connectionOptions,
    ttl: { type: "string", value: "SECONDS", default: "86400", help: "how long it is valid" },
  },
  run: async (invocation) => {
    const connection = await connect(invocation);
    const { token: text } = await connection.send<{ token: string }>("POST", "/naru/v1/tokens", {
      body: { ttlSeconds: numberOption(invocation, "ttl") },
      signal: invocation.signal,
    });
    console.log(text);
    connection.close();
    return 0;
  },
};
