import { realClock } from "../../lib/clock.ts";
import { storeContract } from "./contract.ts";
import { MemoryStore } from "./memory.ts";

storeContract("MemoryStore", async () => {
  const store = new MemoryStore({ clock: realClock });
  return { store, prefix: "/registry/", close: () => store[Symbol.asyncDispose]() };
});
