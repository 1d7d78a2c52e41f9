import assert from "node:assert/strict";
import { test } from "node:test";
import { digits, grouped, roundBelow, signed } from "../../workbench/ui/frontend/src/numbers.js";

test("measured values have the digits that matter", () => {
  const values = [0, 1.234, -12.34, 0.00123, 2_345_678, Number.NaN, Infinity, undefined, null];
  assert.deepEqual(values.map(digits), [
    "0.00", "1.23", "-12.3", "1.23e-3", "2.35e+6", "NaN", "Infinity", "–", "–",
  ]);
});

test("thousands of a count are set apart; an unknown one is empty", () => {
  assert.deepEqual([7, 1234, 2296960, null, undefined].map(grouped), ["7", "1\u202f234", "2\u202f296\u202f960", "", ""]);
  assert.equal(signed(-15), "\u221215");
});

test("a length to draw is the round number below", () => {
  assert.deepEqual([73, 20, 19.9, 5, 0.34, 0.011].map(roundBelow), [50, 20, 10, 5, 0.2, 0.01]);
});
