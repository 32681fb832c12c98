// Limits of input and output of block devices, as the files of cgroups that they are. Pure.
// Source: Documentation/admin-guide/cgroup-v1/blkio-controller.rst and cgroup-v2.rst of the kernel.
import type { RareLimit } from "./runtime.ts";

export interface DeviceNumbers {
  readonly major: number;
  readonly minor: number;
}

const wordsV2 = { read_bps: "rbps", write_bps: "wbps", read_iops: "riops", write_iops: "wiops" } as const;
export type ThrottleKind = keyof typeof wordsV2;

/** `rate` in bytes or operations each second; 0 lifts the limit. */
export function blockThrottle(kind: ThrottleKind, { major, minor }: DeviceNumbers, rate: number): RareLimit {
  const device = `${major}:${minor}`;
  return {
    v1: [{ name: `blkio.throttle.${kind}_device`, value: `${device} ${rate}` }],
    v2: [{ name: "io.max", value: `${device} ${wordsV2[kind]}=${rate === 0 ? "max" : rate}` }],
  };
}

/** 10 to 1000. Only the BFQ scheduler has weights, and on version 2 the kernel's own cost model. */
export function blockWeight(weight: number, device?: DeviceNumbers): RareLimit {
  const of = device === undefined ? "" : `${device.major}:${device.minor} `;
  const optional = true;
  return {
    v1: [{ name: `blkio.bfq.weight${device === undefined ? "" : "_device"}`, value: `${of}${weight}`, optional }],
    v2: [
      { name: "io.bfq.weight", value: `${of}${weight}`, optional },
      { name: "io.weight", value: `${of}${ioWeight(weight)}`, optional },
    ],
  };
}

/** On a scale from 1 to 10000. */
function ioWeight(weight: number): number {
  return 1 + Math.floor(((Math.min(1000, Math.max(10, weight)) - 10) * 9999) / 990);
}
