import assert from "node:assert/strict";
import { test } from "node:test";
import { homeOf, resolveUser } from "./users.ts";

const files = {
  passwd: "root:x:0:0:root:/root:/bin/sh\n# note\nbroken\nwww:x:33:34::/:\nbig:x:99999999999:1::/:\n",
  group: "root:x:0:root\nwww:x:34:\ndisk:x:6:root,www\naudio:x:29:www\n",
};

test("resolveUser follows runc's rules", () => {
  const resolve = (user: string) => {
    try {
      const { uid, gid, additionalGids } = resolveUser(user, files);
      return `${uid}:${gid} ${additionalGids.join()}`;
    } catch (error) {
      return (error as Error).message;
    }
  };
  const answers: Readonly<Record<string, string>> = {
    "": "0:0 0,6",
    "0": "0:0 0,6",
    root: "0:0 0,6",
    www: "33:34 6,29",
    "33": "33:34 6,29",
    "www:disk": "33:6 ",
    "www:77": "33:77 ",
    "1000": "1000:0 ",
    "1000:1000": "1000:1000 ",
    nobody: 'user "nobody" is not in the image\'s /etc/passwd',
    "www:none": 'group "none" is not in the image\'s /etc/group',
    "4294967296": 'user "4294967296": an id must be from 0 to 2147483647',
    big: 'user "big": an id must be from 0 to 2147483647',
  };
  assert.deepEqual(Object.fromEntries(Object.keys(answers).map((user) => [user, resolve(user)])), answers);
});

test("homeOf finds a user's folder by name or number", () => {
  const passwd = "root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n";
  const homes = ["", "0", "ann", "1000:5", "1000", "77", "bob"].map((user) => homeOf(user, passwd));
  assert.deepEqual(homes, ["/root", "/root", "/home/ann", "/home/ann", "/home/ann", "/", "/"]);
});
