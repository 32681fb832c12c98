// What a peer must be able to do with images to be measured beside us.

/** An engine with an empty store of its own. */
export interface ImagePeer extends AsyncDisposable {
  pull(reference: string): Promise<void>;
  /** Makes an image of a root file system's tar. */
  importRoot(tar: string, name: string): Promise<void>;
  /** What its files call an image that was imported. */
  readonly prefix: string;
  build(context: string, options: { readonly tag: string; readonly noCache: boolean }): Promise<void>;
  /** A container that runs a script of the image's shell to its end, ready to be committed. */
  makeContainer?(image: string, script: string): Promise<string>;
  commit?(container: string, tag: string): Promise<void>;
}

export interface ImagePeerPlace {
  /** Empty and its own. */
  readonly folder: string;
  /** How the names of its cgroups begin. */
  readonly cgroup: string;
  /** "127.0.0.1:5000"; without TLS. */
  readonly registry: string | undefined;
}

/** Undefined when this machine lacks it. */
export type OpenImagePeer = (place: ImagePeerPlace) => Promise<ImagePeer | undefined>;
