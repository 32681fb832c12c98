// What a user asks of a node's images beyond lists and pulls. The first line that comes is the command, as JSON; answers are JSON, one
// line each, but for `save` and `export`, whose answer is the tar.
import { randomUUID } from "node:crypto";
import { PassThrough } from "node:stream";
import type { BuildEvent, Builder, BuildOptions } from "../build/build.ts";
import type { RegistryCredentials } from "../images/images.ts";
import { type ImageLibrary, NoSuchImageError, type Platform } from "../images/library.ts";
import { registryHost } from "../images/reference.ts";
import type { NodeStream } from "../session-types.ts";
import { roomIn } from "./pour-input.ts";

/** Credentials by registry: the host, "docker.io" for Docker Hub. */
type Logins = Readonly<Record<string, RegistryCredentials>>;

export type ImageCommand =
  | {
      readonly command: "pull";
      readonly reference: string;
      readonly logins?: Logins;
      readonly platform?: Platform;
    }
  | {
      readonly command: "push";
      readonly reference: string;
      readonly logins?: Logins;
      readonly compression?: "gzip" | "zstd";
    }
  | { readonly command: "login"; readonly registry: string; readonly credentials: RegistryCredentials }
  | { readonly command: "search"; readonly term: string; readonly registry: string; readonly logins?: Logins }
  | { readonly command: "tag"; readonly reference: string; readonly name: string }
  | { readonly command: "rm"; readonly reference: string; readonly force?: boolean }
  | { readonly command: "inspect" | "history"; readonly reference: string }
  | { readonly command: "save"; readonly references: readonly string[]; readonly format?: "docker" | "oci" }
  /** The files of an image as a tar. */
  | { readonly command: "export"; readonly reference: string }
  | { readonly command: "prune"; readonly all?: boolean }
  | { readonly command: "usage" }
  | {
      readonly command: "build";
      readonly options: Omit<BuildOptions, "secrets" | "credentials">;
      /** Base64. */
      readonly secrets?: Readonly<Record<string, string>>;
      readonly logins?: Logins;
    };

interface CommandParts {
  readonly images: ImageLibrary;
  readonly builder: () => Promise<Builder>;
  readonly stream: NodeStream;
}

const commandBytesMax = 8 * 1024 * 1024;

export async function runImageCommand({ images, builder, stream }: CommandParts): Promise<void> {
  const { line, rest } = await readCommand(stream);
  const { signal } = stream;
  const say = (value: object) => stream.send({ type: "stdout", data: Buffer.from(`${JSON.stringify(value)}\n`) });
  const tell = (value: object) => void say(value).catch(() => {});
  const asked = JSON.parse(line) as ImageCommand;
  switch (asked.command) {
    case "pull": {
      const { reference, logins, platform } = asked;
      const options = { credentials: loginsFor(logins, reference), ...(platform === undefined ? {} : { platform }) };
      const { id, tags, digests } = await images.pull(reference, { ...options, onProgress: tell, signal });
      return await say({ id, tags, digests });
    }
    case "push": {
      const { reference, logins, compression = "gzip" } = asked;
      return await say(
        await images.push(reference, {
          credentials: loginsFor(logins, reference),
          compression,
          onProgress: tell,
          signal,
        }),
      );
    }
    case "login":
      await images.login(asked.registry, asked.credentials, signal);
      return await say({ registry: registryHost(asked.registry) });
    case "search": {
      const credentials = asked.logins?.[registryHost(asked.registry)];
      const options = { registry: asked.registry, signal, ...(credentials === undefined ? {} : { credentials }) };
      for (const found of await images.search(asked.term, options)) await say(found);
      return;
    }
    case "tag":
      return await say({ tags: (await images.tag(asked.reference, asked.name)).tags });
    case "rm":
      for (const removal of await images.removeImage(asked.reference, { force: asked.force === true }))
        await say(removal);
      return;
    case "inspect":
      return await say(await images.inspect(asked.reference));
    case "history":
      for (const entry of await images.history(asked.reference)) await say(entry);
      return;
    case "save": {
      const options = asked.format === undefined ? {} : { format: asked.format };
      for await (const data of await images.save(asked.references, { ...options, signal })) {
        await stream.send({ type: "stdout", data: data as Buffer });
      }
      return;
    }
    case "export":
      return await sendRoot(images, asked.reference, stream);
    case "prune":
      return await say(await images.prune({ all: asked.all === true }));
    case "usage":
      return await say({ ...(await images.usage()), buildCache: await (await builder()).usage() });
    case "build": {
      const { options, logins, secrets = {} } = asked;
      const decoded = Object.fromEntries(
        Object.entries(secrets).map(([id, text]) => [id, Buffer.from(text, "base64")]),
      );
      const onEvent = (event: BuildEvent) =>
        tell(event.type === "output" ? { ...event, data: event.data.toString("base64") } : event);
      const credentials = (registry: string) => (logins?.[registry] === undefined ? [] : [logins[registry]]);
      const built = await (await builder()).build(
        { type: "tar", stream: rest },
        { ...options, secrets: decoded, credentials },
        onEvent,
        signal,
      );
      return await say({ type: "built", ...built });
    }
    default:
      throw new Error(`nodes know no image command ${JSON.stringify((asked as { command: unknown }).command)}`);
  }
}

async function sendRoot(images: ImageLibrary, reference: string, stream: NodeStream): Promise<void> {
  const image = await images.find(reference);
  if (image === undefined) throw new NoSuchImageError(reference);
  const containerId = `export-${randomUUID()}`;
  await images.prepareLayer(containerId, image);
  try {
    for await (const data of await images.exportRoot(containerId, stream.signal))
      await stream.send({ type: "stdout", data: data as Buffer });
  } finally {
    await images.removeLayer(containerId);
  }
}

function loginsFor(logins: Logins | undefined, reference: string): readonly RegistryCredentials[] {
  const first = reference.includes("/") ? (reference.split("/")[0] ?? "") : "";
  const host = /[.:]|^localhost$/.test(first) ? registryHost(first) : "docker.io";
  const found = logins?.[host];
  return found === undefined ? [] : [found];
}

// The line is read here, all behind it goes on as it comes.
async function readCommand(stream: NodeStream): Promise<{ readonly line: string; readonly rest: PassThrough }> {
  const rest = new PassThrough();
  const found = Promise.withResolvers<string>();
  const feed = async () => {
    const parts: Buffer[] = [];
    let bytes = 0;
    let isRead = false;
    for await (const input of stream.input) {
      if (input.type === "stdinEnd") break;
      if (input.type !== "stdin") continue;
      let data = Buffer.from(input.data);
      if (!isRead) {
        const end = data.indexOf(0x0a);
        parts.push(end < 0 ? data : data.subarray(0, end));
        bytes += data.length;
        if (end < 0 && bytes > commandBytesMax) throw new Error(`the command is longer than ${commandBytesMax} bytes`);
        if (end < 0) continue;
        isRead = true;
        found.resolve(Buffer.concat(parts).toString());
        data = data.subarray(end + 1);
      }
      if (data.length > 0 && !rest.write(data)) await roomIn(rest, stream.signal);
    }
    if (!isRead) throw new Error("the request ended before its command");
    rest.end();
  };
  feed().catch((error) => {
    found.reject(error);
    rest.destroy(error);
  });
  // Whoever takes no archive does not hear of its end.
  rest.on("error", () => {});
  return { line: await found.promise, rest };
}
