import assert from "node:assert/strict";
import { test } from "node:test";
import { axis, bars, plateaus, refusal, removedAt, rounded, slopeAt } from "../../workbench/ui/frontend/src/histogram.js";

test("values and places on the axis are each other's inverse, within its ends", () => {
  const { place, value } = axis(100, 300, 216, 8);
  assert.equal(place(100), 8);
  assert.equal(place(300), 208);
  assert.equal(value(place(250)), 250);
  assert.equal(value(-50), 100);
  assert.equal(value(1000), 300);
});

test("bars are as high as the logarithm of the counts; empty and unseen ones are left out", () => {
  const place = (value) => 10 * value;
  const shown = bars([0, 1, 3, 7, 7], [0, 5], place, [0, 40], 30);
  assert.deepEqual(shown.map(({ left }) => left), [10, 20, 30, 40]);
  assert.deepEqual(shown.map(({ height }) => Math.round(height)), [10, 20, 30, 30]);
  assert.equal(shown.at(-1).width, 0.7, "cut at the end of the axis, still seen");
});

test("removed pixels are interpolated between the edges of the bins", () => {
  const removed = [100, 40, 0];
  assert.equal(removedAt(removed, [0, 10], 2.5), 70);
  assert.equal(removedAt(removed, [0, 10], -5), 100);
  assert.equal(removedAt(removed, [0, 10], 50), 0);
  assert.equal(slopeAt(removed, [0, 10], 5), 10);
});

test("a plateau is where ten percent more or less change next to nothing", () => {
  const removed = Array.from({ length: 101 }, (_, n) => (n < 20 ? 10_000 - 500 * n : 0));
  const flat = plateaus(removed, [0, 100], 10_000);
  assert.ok(flat.length > 30);
  assert.ok(flat.every(([from, to]) => from >= 20 && to <= 92));
});

test("limits are whole steps, without the rests of binary fractions", () => {
  assert.equal(rounded(0.37, 0.05), 0.35);
  assert.equal(rounded(17.4999, 1), 17);
});

const limit = (changes) => ({ masks: "below", highest: 4000.3, step: 1, unit: "ADU", ...changes });

test("a limit that would mask everything or nothing is refused, with the reason", () => {
  const reasons = [
    [-50, {}, /below 0/],
    [5000, {}, /mask every pixel: the largest value of the image is 4000.3 ADU/],
    [0, { masks: "above" }, /mask every pixel; type a limit above 0/],
    [-50, { masks: "above" }, /mask every pixel/],
    [5000, { masks: "above" }, /mask no pixel/],
    [Number.NaN, {}, /number/],
  ];
  for (const [value, changes, reason] of reasons) assert.match(refusal(value, limit(changes)), reason);
});

test("limits within the data are taken, and any where no image is known", () => {
  for (const value of [0, 300, 4000, 4001]) assert.equal(refusal(value, limit({})), "");
  assert.equal(refusal(1e9, limit({ highest: null })), "");
  assert.equal(refusal(0.05, limit({ masks: "above" })), "");
});
