// naru-oci create: everything but the program itself.
import { type Command, requireId } from "../command.ts";
import { create, createOptions } from "../create.ts";

export const createCommand: Command = {
  name: "create",
  usage: "create [options] <id>",
  help: "make a container from a bundle, up to its program",
  options: createOptions,
  async run(args, globals) {
    await create(requireId(args), args, globals, "leave");
    return 0;
  },
};
