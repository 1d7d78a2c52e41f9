import assert from "node:assert/strict";
import { test } from "node:test";
import { digits, grouped, signed } from "../../workbench/ui/frontend/src/numbers.js";

test("measured values have the digits that matter", () => {
  const values = [0, 1.234, -12.34, 0.00123, 2_345_678, Number.NaN, Infinity, undefined, null];
  assert.deepEqual(values.map(digits), [
    "0.00", "1.23", "-12.3", "1.23e-3", "2.35e+6", "NaN", "Infinity", "–", "–",
  ]);
});

test("thousands of a count are set apart; an unknown one is empty", () => {
  assert.deepEqual([7, 1234, 2296960, null, undefined].map(grouped), ["7", "1\u2009234", "2\u2009296\u2009960", "", ""]);
  assert.equal(signed(-15), "\u221215");
});
