import assert from "node:assert/strict";
import { test } from "node:test";
import { EventWindow } from "./event-window.ts";
import { Item, ItemEvent } from "./item.ts";

const event = (revision: number, bytes: number) =>
  new ItemEvent("ADDED", new Item("default/a", revision, {}, bytes), undefined);

test("EventWindow.add keeps as many bytes as there are objects, between its limits, and always the newest event", () => {
  const limits = { windowEventsMax: 5, windowBytesMin: 100, windowBytesMax: 300 };
  const kept = (liveBytes: number, sizes: readonly number[]) => {
    const window = new EventWindow(limits, 0);
    for (const [i, bytes] of sizes.entries()) window.add(event(i + 1, bytes), liveBytes);
    let oldest = 0;
    for (; ; oldest++) {
      try {
        return window.after(oldest).map(({ revision }) => revision);
      } catch {}
    }
  };
  assert.deepEqual(
    {
      least: kept(0, [50, 50, 50]),
      asMuchAsThereIs: kept(200, [50, 50, 50, 50, 50]),
      most: kept(1000, [100, 100, 100, 100]),
      events: kept(1000, [1, 1, 1, 1, 1, 1, 1]),
      newest: kept(0, [50, 500]),
    },
    { least: [2, 3], asMuchAsThereIs: [2, 3, 4, 5], most: [2, 3, 4], events: [3, 4, 5, 6, 7], newest: [2] },
  );
});
