import assert from "node:assert/strict";
import { test } from "node:test";
import { COLORMAPS, colourTable, colourWord, layOver, paint, percentiles } from "../../workbench/ui/frontend/src/colormap.js";

const channels = (word) => [word & 255, (word >> 8) & 255, (word >> 16) & 255, word >>> 24];

test("a colour map begins and ends with its anchors and is opaque", () => {
  const table = colourTable("viridis");
  assert.equal(table.length, 256);
  assert.deepEqual(channels(table[0]), [0x44, 0x01, 0x54, 255]);
  assert.deepEqual(channels(table[255]), [0xfd, 0xe7, 0x25, 255]);
  assert.deepEqual(channels(colourTable("gray")[128]), [128, 128, 128, 255]);
});

test("viridis gets brighter from end to end, as matplotlib's does", () => {
  const light = [...colourTable("viridis")].map((word) => {
    const [red, green, blue] = channels(word);
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  });
  assert.ok(light.every((value, n) => n === 0 || value > light[n - 1] - 0.5));
});

test("there is a table for every map that can be chosen, and viridis for others", () => {
  assert.equal(new Set(COLORMAPS.map((name) => colourTable(name).join())).size, COLORMAPS.length);
  assert.deepEqual(colourTable("no such map"), colourTable("viridis"));
});

test("values are painted between the limits, gaps are transparent", () => {
  const table = Uint32Array.from({ length: 256 }, (_, n) => n + 1000);
  const values = Float32Array.of(-5, 10, 15, 20, 99, Number.NaN, -Infinity);
  const out = new Uint32Array(7);
  paint(values, [10, 20], false, table, out);
  assert.deepEqual([...out], [1000, 1000, 1127, 1255, 1255, 0, 1000]);
  paint(Float32Array.of(1, 10, 100), [1, 100], true, table, out.subarray(0, 3));
  assert.deepEqual([...out.subarray(0, 3)], [1000, 1127, 1255]);
});

test("the mask's colour is laid over, and gaps stay transparent", () => {
  const out = new Uint32Array(2);
  layOver(Uint32Array.of(colourWord(100, 100, 100), 0), colourWord(200, 0, 100), 0.5, out);
  assert.deepEqual(channels(out[0]), [150, 50, 100, 255]);
  assert.equal(out[1], 0);
});

test("percentiles leave out what is not finite, and never coincide", () => {
  const values = Float32Array.from({ length: 101 }, (_, n) => n);
  assert.deepEqual(percentiles(values, 10, 90), [10, 90]);
  assert.deepEqual(percentiles(Float32Array.of(Number.NaN, 3, -Infinity), 0, 100), [3, 4]);
  assert.deepEqual(percentiles(new Float32Array(0), 0, 100), [0, 1]);
});
