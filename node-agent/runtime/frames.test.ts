// Frames survive the way there and back, however the stream cuts them; other bytes are refused.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decodeFields, encodeFields, encodeFrame, FrameReader } from "./frames.ts";

const fields = fc.array(fc.oneof(fc.string(), fc.uint8Array({ maxLength: 300 })), { maxLength: 12 });

test("what is written is read decodeFields", () => {
  fc.assert(
    fc.property(fields, (list) => {
      assert.deepEqual(
        decodeFields(encodeFields(list)),
        list.map((field) => Buffer.from(field)),
      );
    }),
  );
});

test("frames are whole wherever the stream is cut push", () => {
  fc.assert(
    fc.property(fc.array(fields, { maxLength: 5 }), fc.integer({ min: 1, max: 40 }), (frames, step) => {
      const bytes = Buffer.concat(frames.map((frame) => encodeFrame(frame)));
      const reader = new FrameReader();
      const read = [];
      for (let at = 0; at < bytes.length; at += step) read.push(...reader.push(bytes.subarray(at, at + step)));
      assert.deepEqual(
        read,
        frames.map((frame) => frame.map((field) => Buffer.from(field))),
      );
    }),
  );
});

test("a string that ends beyond its frame is refused decodeFields", () => {
  const bytes = encodeFields(["abc"]);
  bytes.writeUInt32LE(4, 0);
  assert.throws(() => decodeFields(bytes), /malformed/);
});
