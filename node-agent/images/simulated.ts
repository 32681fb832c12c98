// Images without registries or files, for the simulator and for tests: what the registry has is a function, pulls take the clock's time.
import type { Clock } from "../../lib/clock.ts";
import { type Image, type ImageConfig, ImageInUseError, type ImageStore, PullError } from "./images.ts";
import { formatReference, parseReference } from "./reference.ts";

export interface SimulatedImagesOptions {
  readonly clock: Clock;
  /** The config of an image that can be pulled; undefined: not there. Throws PullError to fail otherwise. */
  readonly registry: (reference: string) => Partial<ImageConfig> | undefined;
  readonly pullMs?: (reference: string) => number;
}

const emptyConfig: ImageConfig = {
  entrypoint: ["/app"],
  cmd: [],
  env: [],
  workingDir: "",
  user: "",
  stopSignal: undefined,
  exposedPorts: [],
  volumes: [],
  labels: {},
};

export function openSimulatedImages(options: SimulatedImagesOptions): ImageStore {
  const { clock, registry } = options;
  const here = new Map<string, Image>();
  const layers = new Map<string, string>();

  const find = async (text: string): Promise<Image | undefined> => {
    for (const image of here.values()) if (image.id === text) return image;
    return here.get(formatReference(parseReference(text)));
  };
  return {
    find,
    list: async () => [...here.values()],
    pull: async (text, { signal }) => {
      const reference = formatReference(parseReference(text));
      const config = registry(text);
      const pullMs = options.pullMs?.(text) ?? 0;
      if (pullMs > 0) await new Promise<void>((resolve) => void clock.after(pullMs, resolve));
      signal?.throwIfAborted();
      if (config === undefined) throw new PullError("NotFound", `${text}: not found`);
      const id = `sha256:${Buffer.from(reference).toString("hex").padStart(64, "0").slice(-64)}`;
      const image: Image = {
        id,
        tags: [reference],
        digests: [],
        sizeBytes: 1_000_000,
        config: { ...emptyConfig, ...config },
      };
      here.set(reference, image);
      return image;
    },
    import: async () => {
      throw new Error("a simulated node imports no archives");
    },
    remove: async (text) => {
      const image = await find(text);
      if (image === undefined) return;
      const users = [...layers].flatMap(([id, of]) => (of === image.id ? [id] : []));
      if (users.length > 0) throw new ImageInUseError(`${text} is used by ${users.join(", ")}`, users);
      for (const tag of image.tags) here.delete(tag);
    },
    prepareLayer: async (containerId, image) => {
      layers.set(containerId, image.id);
      return {
        rootfs: { destination: "/", type: "overlay", source: "overlay", options: [] },
        resolveUser: async (user) => {
          const [uid = 0, gid = 0] = user.split(":").map((part) => Number(part) || 0);
          return { uid, gid, additionalGids: [] };
        },
        homeOf: async () => "/",
      };
    },
    removeLayer: async (containerId) => {
      layers.delete(containerId);
    },
    layerPath: () => undefined,
    listLayers: async () => [...layers].map(([containerId, imageId]) => ({ containerId, imageId })),
    collect: async () => ({ freedBytes: 0, images: [] }),
    [Symbol.asyncDispose]: async () => {},
  };
}
