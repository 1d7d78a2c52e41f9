import assert from "node:assert/strict";
import { test } from "node:test";
import { breaks, clear, decisive, LAYER_FLAG, limitOf, mark, markWords } from "../../workbench/ui/frontend/src/mask.js";
import { verdict } from "../../workbench/ui/frontend/src/readout.js";

const rule = (image, sign, limit) => ({ rule: "", image, sign, limit, unit: "ADU" });
const RULES = [rule("average", "≤", 0), rule("average", ">", "hot"), rule("maximum", "<", "lit")];

test("a limit itself is good, except where values at it are masked", () => {
  const at = (sign) => [1, 2, 3].map((value) => breaks({ sign }, value, 2));
  assert.deepEqual(at(">"), [false, false, true]);
  assert.deepEqual(at("<"), [true, false, false]);
  assert.deepEqual(at("≤"), [true, true, false]);
});

test("what is not a number is below every lower limit", () => {
  assert.ok(breaks({ sign: "<" }, Number.NaN, 0));
  assert.ok(breaks({ sign: "≤" }, Number.NaN, 0));
  assert.ok(!breaks({ sign: ">" }, Number.NaN, 0));
});

test("the pooled value that decides marks exactly the screen pixels with a pixel that breaks", () => {
  const below = [[1, 5], [2, 2], [3, 9], [Number.NaN, 4]];
  for (const sign of [">", "<", "≤"]) {
    const flags = new Uint16Array(below.length);
    const pooled = below.map((pair) => {
      const known = pair.map((value) => (Number.isNaN(value) ? -Infinity : value));
      return decisive({ sign }) === "max" ? Math.max(...known) : Math.min(...known);
    });
    mark(sign, Float32Array.from(pooled), 2, flags, 1, ~1);
    const expected = below.map((pair) => Number(pair.some((value) => breaks({ sign }, value, 2))));
    assert.deepEqual([...flags], expected, sign);
  }
});

test("flags of other rules stay as they are", () => {
  const flags = Uint16Array.of(4, 4 + 2, 4);
  mark(">", Float32Array.of(9, 1, 1), 5, flags, 2, ~2);
  assert.deepEqual([...flags], [4 + 2, 4, 4]);
  mark(">", Float32Array.of(1, 9, 1), 5, flags, 2, 0xffff); // a second gain adds to the first
  assert.deepEqual([...flags], [4 + 2, 4 + 2, 4]);
  markWords(Uint32Array.of(0, 0, 1 << 20), flags, LAYER_FLAG);
  assert.deepEqual([...flags], [4 + 2, 4 + 2, 4 + LAYER_FLAG]);
  clear(flags, 4);
  assert.deepEqual([...flags], [2, 2, LAYER_FLAG]);
});

test("the limit of low-gain pixels is a trait of its own", () => {
  const get = (trait) => ({ hot: 10, low_hot: 20 })[trait];
  assert.equal(limitOf(RULES[0], get, "low_"), 0);
  assert.equal(limitOf(RULES[1], get), 10);
  assert.equal(limitOf(RULES[1], get, "low_"), 20);
});

const pixel = (changes) =>
  verdict({
    rules: RULES, values: { average: 12, maximum: 5 },
    limit: (trait) => ({ hot: 10, lit: 8, low_hot: 20, low_lit: 1 })[trait],
    twoGains: false, word: 0, spared: 0, reasons: ["border", "beam stop"], keepers: [], ...changes,
  });

test("a masked pixel says every rule and layer it breaks, with value and limit", () => {
  assert.equal(pixel({ word: 2 }), "MASKED: average 12.0 > 10, maximum 5.00 < 8, beam stop");
  assert.equal(pixel({ values: { average: 3, maximum: 9 } }), "good");
  assert.equal(pixel({ values: { maximum: 9 } }), "good", "an image that is not there breaks nothing");
});

test("a low-gain pixel is held against its own limits where there are two gains", () => {
  assert.equal(pixel({ word: 2 ** 30, twoGains: true }), "good");
  assert.match(pixel({ word: 2 ** 30 }), /average 12.0 > 10/);
});

test("a kept pixel says what would mask it, and who keeps it", () => {
  const word = 2 ** 31;
  const spared = 1 + 2 * 2 ** 24;
  assert.equal(
    pixel({ word, spared, keepers: ["layer 1", "layer 4 “hole”"] }),
    "good (would be masked: average 12.0 > 10, maximum 5.00 < 8, border; kept by layer 4 “hole”)",
  );
});
