import { componentUser } from "../api/authentication/user.ts";
import { openTestApi, openTestServer } from "../test/api.ts";
import { clientContract } from "./contract.ts";
import { httpClient } from "./http.ts";
import { inProcessClient } from "./in-process.ts";

clientContract("in-process client", async () => {
  const opened = await openTestApi();
  return {
    client: inProcessClient({ verbs: opened.api.verbs, user: componentUser("test") }),
    [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose](),
  };
});

clientContract("HTTPS client", async () => {
  const server = await openTestServer();
  const client = httpClient({ connection: server.connection });
  return {
    client,
    [Symbol.asyncDispose]: async () => {
      client[Symbol.dispose]();
      await server[Symbol.asyncDispose]();
    },
  };
});
