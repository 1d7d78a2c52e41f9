import assert from "node:assert/strict";
import { test } from "node:test";
import * as pools from "../../workbench/ui/frontend/src/pool.js";

const { assemble, assembleBits, edges, gated, pool, poolBits } = pools;
const LOW = 2 ** 30;
const KEPT = 2 ** 31;

test("a picture has NaN in gaps and -Infinity where a pixel has no number", () => {
  const map = { rows: 2, cols: 2, index: Int32Array.of(2, -1, 0, 1) };
  const picture = assemble(Float32Array.of(5, Number.NaN, 7), map);
  assert.deepEqual([...picture], [7, Number.NaN, 5, -Infinity]);
  assert.deepEqual([...assembleBits(Uint32Array.of(1, 2, 4), map)], [4, 0, 1, 2]);
});

test("every line of a picture is under some screen pixel, and none twice", () => {
  const { low, high } = edges(-1.5, 2.5, 6, 10);
  assert.deepEqual([...low], [0, 1, 3, 6, 8, 10]);
  assert.deepEqual([...high], [1, 3, 6, 8, 10, 10]);
});

test("a screen pixel has at least one line when the picture is enlarged", () => {
  const { low, high } = edges(1, 0.25, 6, 10);
  assert.deepEqual([...low], [1, 1, 1, 1, 2, 2]);
  assert.deepEqual([...high], [2, 2, 2, 2, 3, 3]);
});

test("pooling gives mean, smallest and largest of all pixels under a screen pixel", () => {
  const source = Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8);
  const { mean, min, max } = pool(source, 4, edges(0, 2, 2, 4), edges(0, 2, 1, 2), false);
  assert.deepEqual([...mean], [3.5, 5.5]);
  assert.deepEqual([...min], [1, 3]);
  assert.deepEqual([...max], [6, 8]);
});

test("gaps count for nothing; a pixel without a number is below every limit", () => {
  const source = Float32Array.of(Number.NaN, Number.NaN, Number.NaN, 4, -Infinity, 6, -Infinity, -Infinity);
  const { mean, min, max } = pool(source, 8, edges(0, 2, 4, 8), edges(0, 1, 1, 1), false);
  assert.deepEqual([...mean], [Number.NaN, 4, 6, -Infinity]);
  assert.deepEqual([...min], [Infinity, 4, -Infinity, -Infinity]);
  assert.deepEqual([...max], [-Infinity, 4, 6, -Infinity]);
});

test("while the picture moves only the first pixel of each screen pixel is looked at", () => {
  const source = Float32Array.of(1, 2, 3, 4);
  assert.deepEqual([...pool(source, 2, edges(0, 2, 1, 2), edges(0, 2, 1, 2), true).max], [1]);
});

test("pooled reasons are all there are, without gain and keeping", () => {
  const source = Uint32Array.of(1, 2, LOW + 4, KEPT);
  assert.deepEqual([...poolBits(source, 4, edges(0, 3, 2, 4), edges(0, 1, 1, 1))], [7, 0]);
});

test("limits look only at pixels of their gain, and at none that a layer keeps", () => {
  const values = Float32Array.of(1, 2, 3, 4);
  const words = Uint32Array.of(0, LOW, KEPT, LOW + KEPT);
  const nan = Number.NaN;
  assert.deepEqual([...gated(values, words, "high")], [1, nan, nan, nan]);
  assert.deepEqual([...gated(values, words, "low")], [nan, 2, nan, nan]);
  assert.deepEqual([...gated(values, words, "any")], [1, 2, nan, nan]);
});
