// containerd with its own client, which pulls but does not build.
import type { OpenImagePeer } from "./image-peer.ts";
import { startContainerdEngine } from "./peer-containerd.ts";

const refuse = async () => {
  throw new Error("containerd builds no images");
};

export const openImageContainerd: OpenImagePeer = async ({ folder }) => {
  const engine = await startContainerdEngine(folder);
  if (engine === undefined) return undefined;
  return {
    prefix: "",
    pull: async (reference) => void (await engine.call("image", "pull", "--plain-http", reference)),
    importRoot: refuse,
    build: refuse,
    [Symbol.asyncDispose]: () => engine[Symbol.asyncDispose](),
  };
};
