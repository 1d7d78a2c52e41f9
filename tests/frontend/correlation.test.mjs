import assert from "node:assert/strict";
import { test } from "node:test";
import { contour, heights, scaleOf, ticks } from "../../workbench/ui/frontend/src/correlation.js";

const MAP = { trials: [-1, 0, 1], values: [[0, 0, null], [0, 1, 0.2], [0, 0, 0]] };

test("places and shifts on a map are each other's inverse, to a tenth of a pixel", () => {
  const { place, shift, nearest, length } = scaleOf(MAP, 300);
  assert.deepEqual([place(-1), place(0), place(1)], [50, 150, 250]);
  assert.equal(shift(place(0.4)), 0.4);
  assert.equal(shift(-20), -1.5);
  assert.equal(shift(900), 1.5);
  assert.deepEqual([nearest(0.4), nearest(0.6), nearest(9)], [1, 2, 2]);
  assert.equal(length(0.5), 50);
});

test("the half height lies between the median and the peak", () => {
  assert.deepEqual(heights(MAP), { low: 0, high: 1, half: 0.5 });
});

test("the contour goes around the cells above the half height", () => {
  const lines = contour(MAP, 0.5).map(([from, to]) => `${from} ${to}`);
  assert.deepEqual(lines.sort(), ["1,1 1,2", "1,1 2,1", "1,2 2,2", "2,1 2,2"]);
});

test("ticks are round numbers within the map", () => {
  assert.deepEqual(ticks(-2, 2), [-2, -1, 0, 1, 2]);
  assert.deepEqual(ticks(-15, 15), [-10, 0, 10]);
  assert.deepEqual(ticks(-50, 50), [-40, -20, 0, 20, 40]);
});
