// What an agent is told at its start, and how its texts are read. Pure but for finding the node's own address.
import { connect } from "node:net";
import type { Taint } from "../api/kinds/generated/types.ts";
import type { ImageCollectionLimits } from "./eviction/plan-image-collection.ts";
import type { ShutdownGroup } from "./shutdown.ts";

export interface EvictionOptions {
  /** "memory.available<100Mi,nodefs.available<10%"; "" for none. Default: the kubelet's. */
  readonly hard?: string;
  readonly soft?: string;
  /** "memory.available=1m30s" */
  readonly softGrace?: string;
  /** "nodefs.available=500Mi": once something is done about a threshold, so much more is freed. */
  readonly minimumReclaim?: string;
  /** What pods get at most to end by themselves when a soft threshold is passed; 0: hardly any time. Default 0. */
  readonly podGraceMsMax?: number;
  /** How long the node says to be under pressure after it was. Default 300,000. */
  readonly transitionMs?: number;
}

export interface AgentOptions {
  /** The API: "https://10.0.0.1:6443". */
  readonly server: string;
  /** gRPC of the same server. */
  readonly sessionPort: number;
  /** Further servers, "host:port" of their gRPC. */
  readonly sessionAddresses?: readonly string[];
  readonly nodeName: string;
  readonly dataDir: string;
  readonly runDir: string;
  /** "/naru/node-1" */
  readonly cgroupParent: string;
  /** "key=value" */
  readonly labels: readonly string[];
  /** "key=value:Effect" */
  readonly taints: readonly string[];
  readonly insecureRegistries: readonly string[];
  /** YAML: mirrors, authorities, credentials and signatures by registry. */
  readonly registriesFile?: string;
  /** "runsc=/usr/local/bin/runsc --platform=systrap": for RuntimeClasses, besides runc and crun on the PATH. */
  readonly ociRuntimes?: readonly string[];
  /** "net.core.somaxconn", "net.core.*": what pods may set besides the safe ones. */
  readonly allowedUnsafeSysctls?: readonly string[];
  /** When it ends: everything that runs here ends too. */
  readonly stopPods: boolean;
  /** What pods get at most to end by themselves then. Default 10,000. A second signal ends them at once. */
  readonly stopGraceMs?: number;
  /** Given: its end is the machine's. Pods fail in that time, to be replaced elsewhere; `stopPods` leaves nothing of them either. */
  readonly shutdown?: readonly ShutdownGroup[];
  readonly logLevel: string;
  readonly joinToken?: string;
  readonly nodeIp?: string;
  readonly cpus?: string;
  readonly memory?: string;
  readonly podsMax?: number;
  /** "cpu=500m,memory=1Gi": kept from pods, for the node's own programs. */
  readonly reserved?: string;
  readonly eviction?: EvictionOptions;
  readonly imageCollection?: Partial<ImageCollectionLimits>;
  /** Pods of all nodes. */
  readonly clusterCidrs?: readonly string[];
  readonly serviceCidr?: string;
  readonly clusterDomain?: string;
  /** Of /metrics; 0: any free one. Default 10250. */
  readonly metricsPort?: number;
  /** How long a planned restart may take until pods are replaced elsewhere. */
  readonly backWithinMs?: number;
  readonly launcherPath?: string;
  /** Where Docker's API is served; "off": nowhere. Default: docker.sock in `runDir`. */
  readonly dockerSocket?: string;
  /** Where Docker's API is served over TLS, too, for administrators: "10.0.0.1:2376"; a port alone is one of the node's address. */
  readonly dockerListen?: string;
}

/** "disk=ssd" */
export function parseLabels(texts: readonly string[]): Readonly<Record<string, string>> {
  const labels: Record<string, string> = {};
  for (const text of texts) {
    const [, key, value] = /^([^=]+)=(.*)$/.exec(text) ?? [];
    if (key === undefined || value === undefined)
      throw new Error(`label ${JSON.stringify(text)} must look like key=value`);
    labels[key] = value;
  }
  return labels;
}

/** "gpu=yes:NoSchedule", "gpu:NoExecute" */
export function parseTaints(texts: readonly string[]): readonly Taint[] {
  return texts.map((text) => {
    const [, key, value, effect] = /^([^=:]+)(?:=([^:]*))?:(NoSchedule|PreferNoSchedule|NoExecute)$/.exec(text) ?? [];
    if (key === undefined || effect === undefined) {
      throw new Error(
        `taint ${JSON.stringify(text)} must look like key=value:NoSchedule (or PreferNoSchedule, NoExecute)`,
      );
    }
    return { key, effect, ...(value === undefined || value === "" ? {} : { value }) };
  });
}

/** "10.0.0.1:2376", "[::1]:2376", "2376". */
export function parseListen(text: string, hostDefault: string): { readonly host: string; readonly port: number } {
  const [, host = "", port = ""] = /^(?:(.+):)?(\d{1,5})$/.exec(text) ?? [];
  if (port === "" || Number(port) > 65535)
    throw new Error(`${JSON.stringify(text)} must look like ADDRESS:PORT or PORT`);
  return { host: host === "" ? hostDefault : host.replace(/^\[|\]$/g, ""), port: Number(port) };
}

/** This machine's address on the way to the server. */
export function addressTowards(host: string, port: number, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, signal });
    socket.once("error", reject);
    socket.once("connect", () => {
      const { localAddress } = socket;
      socket.destroy();
      if (localAddress === undefined) reject(new Error(`no address towards ${host}`));
      else resolve(localAddress.replace(/^::ffff:/, ""));
    });
  });
}
