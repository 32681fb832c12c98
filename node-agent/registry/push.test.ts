// What a push that fails leaves behind: nothing that counts against the one who pushed.
import { deepEqual, rejects } from "node:assert/strict";
import type { IncomingMessage, ServerResponse } from "node:http";
import { Readable } from "node:stream";
import { test } from "node:test";
import { seededRandom } from "../../lib/random.ts";
import { virtualClock } from "../../lib/virtual-clock.ts";
import { makeTestFolder } from "../../test/folders.ts";
import type { PushedImages } from "../images/pushed-images.ts";
import { Uploads } from "../images/uploads.ts";
import { startUpload } from "./push.ts";

const uploadsPerUserMax = 64;

test("startUpload leaves no upload open of a blob that came at once and was refused", async () => {
  const clock = virtualClock();
  using uploads = new Uploads({ directory: makeTestFolder("push"), clock, random: seededRandom(1) });
  await uploads.open();
  const pushed = { uploads } as unknown as PushedImages;
  const push = (digest: string, body: Readable) => {
    const request = Object.assign(body, { headers: {} }) as unknown as IncomingMessage;
    const query = new URLSearchParams({ digest });
    const exchange = { request, response: {} as ServerResponse, query, caller: { name: "ann", groups: [] } };
    return startUpload({ pushed, clock }, exchange, { repository: "app" });
  };
  const broken = () =>
    new Readable({
      read() {
        this.destroy(new Error("the client left"));
      },
    });
  await rejects(push("sha512:x", Readable.from([])), { code: "DIGEST_INVALID" });
  for (let i = 0; i < uploadsPerUserMax; i++) await rejects(push(`sha256:${"0".repeat(64)}`, broken()), /left/);
  deepEqual(uploads.start({ user: "ann", repository: "app" }).doneBytes, 0);
});
