import assert from "node:assert/strict";
import { test } from "node:test";
import { arranged, carried, fitted, panned, toMm, toScreen, zoomed } from "../../workbench/ui/frontend/src/camera.js";

const MAP = { rows: 100, cols: 200, index: new Int32Array(0), frame: [-5, -10, 0.1] };

test("the whole picture is shown in the middle", () => {
  assert.deepEqual(fitted(MAP, 400, 400), { perPixel: 0.5, row: -50, col: 0 });
});

test("zooming keeps what is under the mouse", () => {
  const box = { row: 10, col: 20, perPixel: 1 };
  const near = zoomed(box, 4, [30, 50]);
  assert.equal(near.perPixel, 0.25);
  assert.equal(near.row + 50 * near.perPixel, 60);
  assert.equal(near.col + 30 * near.perPixel, 50);
  assert.deepEqual(panned(box, [3, -4]), { row: 14, col: 17, perPixel: 1 });
});

test("lab x goes down, lab y to the right; a pixel's middle is its place", () => {
  const box = { row: 0, col: 0, perPixel: 0.5 };
  const mm = toMm(MAP, 20, 30);
  assert.deepEqual(mm, [-3, -7]);
  const [x, y] = toScreen(MAP, box, mm);
  assert.equal(x.toFixed(6), "61.000000");
  assert.equal(y.toFixed(6), "41.000000");
});

test("another geometry is shown at the same place of the lab", () => {
  const other = { ...MAP, frame: [-4, -10.3, 0.1] };
  const box = { row: 12, col: 34, perPixel: 0.5 };
  const there = carried(box, MAP, other);
  const places = [[MAP, box], [other, there]].map(([map, part]) => toScreen(map, part, [0.3, 0.7]));
  assert.deepEqual(places[0].map((v) => v.toFixed(6)), places[1].map((v) => v.toFixed(6)));
  assert.equal(carried(box, MAP, { ...MAP, frame: undefined }), null);
});

const columnsOf = (count, large, wide, high) => arranged(count, large, wide, high, 1, 6, 28);

test("pictures are arranged in as many columns as make them largest", () => {
  assert.equal(columnsOf(3, -1, 1200, 400).columns, 3);
  assert.equal(columnsOf(3, -1, 400, 1200).columns, 1);
  assert.equal(columnsOf(4, -1, 800, 800).columns, 2);
  assert.equal(columnsOf(1, 0, 2000, 500).size.height, 500);
});

test("where there is height for it one picture is large, the others beside it", () => {
  const { size, largeSize } = columnsOf(3, 2, 1200, 760);
  assert.ok(size.width > 350);
  assert.equal(largeSize.height, 760);
  assert.ok(size.width + largeSize.width + 6 <= 1200);
  assert.ok(2 * size.height + 6 + 28 <= 760);
  assert.equal(columnsOf(3, -1, 1200, 760).largeSize, null, "none is to be large");
  assert.equal(columnsOf(3, 2, 1400, 400).largeSize, null, "the others would be small");
  assert.equal(columnsOf(2, 1, 1200, 760).largeSize, null);
});
