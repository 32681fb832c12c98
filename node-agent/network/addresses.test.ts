import assert from "node:assert/strict";
import { isIP } from "node:net";
import { it } from "node:test";
import fc from "fast-check";
import {
  type Address,
  AddressPool,
  addressBytes,
  addressFromBytes,
  canonicalAddress,
  contains,
  formatAddress,
  formatRange,
  parseAddress,
  parseRange,
  type Range,
} from "./addresses.ts";

const addresses: fc.Arbitrary<Address> = fc.oneof(
  fc.bigInt(0n, 2n ** 32n - 1n).map((value) => ({ family: 4 as const, value })),
  fc.bigInt(0n, 2n ** 128n - 1n).map((value) => ({ family: 6 as const, value })),
);

it("reads back what was printed: parseAddress, formatAddress", () => {
  fc.assert(
    fc.property(addresses, (address) => {
      const text = formatAddress(address);
      assert.equal(isIP(text), address.family);
      assert.deepEqual(parseAddress(text), address);
      assert.deepEqual(addressFromBytes(addressBytes(address)), address);
    }),
  );
});

it("spells addresses as RFC 5952 does, refuses what is none: canonicalAddress", () => {
  const cases: readonly (readonly [string, string | undefined])[] = [
    ["10.0.0.1", "10.0.0.1"],
    ["2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["::", "::"],
    ["::1", "::1"],
    ["fe80::", "fe80::"],
    ["1:0:2:3:4:5:6:7", "1:0:2:3:4:5:6:7"],
    ["::ffff:10.0.0.1", "::ffff:a00:1"],
    ["fe80::1%eth0", undefined],
    ["10.0.0.256", undefined],
    ["010.0.0.1", undefined],
    ["", undefined],
    ["10.0.0.1; drop", undefined],
  ];
  assert.deepEqual(
    cases.map(([text]) => canonicalAddress(text)),
    cases.map(([, wanted]) => wanted),
  );
});

it("drops host bits and refuses what is no range: parseRange", () => {
  const texts = [
    "10.244.3.7/16",
    "fd00::7/64",
    "0.0.0.0/0",
    "10.0.0.0/33",
    "10.0.0.0",
    "10.0.0.0/8/8",
    "x/8",
    "::/129",
  ];
  assert.deepEqual(
    texts.map((text) => {
      const range = parseRange(text);
      return range === undefined ? undefined : formatRange(range);
    }),
    ["10.244.0.0/16", "fd00::/64", "0.0.0.0/0", undefined, undefined, undefined, undefined, undefined],
  );
});

it("gives each address once, all of them, and freed ones again: AddressPool.take", () => {
  const pool = new AddressPool(rangeOf("10.1.2.0/29"));
  pool.reserve({ family: 4, value: rangeOf("10.1.2.3/32").base });
  pool.reserve({ family: 4, value: rangeOf("10.9.9.9/32").base });
  const taken = Array.from({ length: 5 }, () => pool.take());
  assert.deepEqual(
    taken.map((address) => address && formatAddress(address)),
    ["10.1.2.2", "10.1.2.4", "10.1.2.5", "10.1.2.6", undefined],
  );
  if (taken[1] !== undefined) pool.free(taken[1]);
  const again = pool.take();
  assert.equal(again && formatAddress(again), "10.1.2.4");
});

it("never gives an address twice or one outside its range: AddressPool.take", () => {
  fc.assert(
    fc.property(fc.array(fc.boolean(), { maxLength: 200 }), (takes) => {
      const range = rangeOf("fd00:1::/122");
      const pool = new AddressPool(range);
      const held: Address[] = [];
      for (const isTake of takes) {
        const address = isTake ? pool.take() : undefined;
        if (address !== undefined) {
          assert.ok(contains(range, address));
          assert.ok(!held.some(({ value }) => value === address.value));
          held.push(address);
        } else if (!isTake) {
          const freed = held.shift();
          if (freed !== undefined) pool.free(freed);
        }
      }
    }),
  );
});

function rangeOf(text: string): Range {
  const range = parseRange(text);
  assert.ok(range !== undefined);
  return range;
}
