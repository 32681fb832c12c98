// Whether the launcher is on the node's network: one that outlived its virtual host is not.
import { parseAddress } from "./addresses.ts";
import { listAddresses, readAddress } from "./links.ts";
import { type Launcher, perform } from "./netlink.ts";

/** True when a link in the launcher's network namespace has this address. */
export async function hasAddress(launcher: Launcher, text: string): Promise<boolean> {
  const wanted = parseAddress(text);
  const [result] = await perform(launcher, [listAddresses()]);
  return (result?.answers ?? [])
    .map(readAddress)
    .some((one) => one !== undefined && one.address.family === wanted?.family && one.address.value === wanted.value);
}
