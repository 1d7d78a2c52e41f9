import assert from "node:assert/strict";
import { test } from "node:test";
import { bent, distance, encloses, handles, hit, outline } from "../../workbench/ui/frontend/src/shapes.js";

const shape = (kind, points, more = {}) => ({ kind, points, layer: 0, name: kind, ...more });
const SQUARE = shape("rectangle", [[0, 0], [4, 2]]);
const CIRCLE = shape("circle", [[10, 0], [13, 0]], { layer: 1 });

test("a rectangle is taken by four corners, a circle by centre and rim", () => {
  assert.deepEqual(handles(SQUARE), [[0, 0], [4, 0], [4, 2], [0, 2]]);
  assert.deepEqual(handles(CIRCLE), CIRCLE.points);
});

test("the opposite corner of a rectangle stays when one is dragged", () => {
  assert.deepEqual(bent(SQUARE, 1, [4, 0], [6, -1]).points, [[0, 2], [6, -1]]);
});

test("a circle's centre moves it, its rim changes the radius", () => {
  assert.deepEqual(bent(CIRCLE, 0, [10, 0], [11, 1]).points, [[11, 1], [14, 1]]);
  assert.deepEqual(bent(CIRCLE, 1, [13, 0], [15, 0]).points, [[10, 0], [15, 0]]);
});

test("a whole shape moves by what the mouse moves", () => {
  assert.deepEqual(bent(SQUARE, -1, [2, 0], [3, 5]).points, [[1, 5], [5, 7]]);
});

test("a corner of a polygon moves alone", () => {
  const triangle = shape("polygon", [[0, 0], [2, 0], [0, 2]]);
  assert.deepEqual(bent(triangle, 2, [0, 2], [1, 3]).points, [[0, 0], [2, 0], [1, 3]]);
});

test("the outline of a line is as wide as what it masks", () => {
  const points = outline(shape("line", [[0, 0], [10, 0]], { width: 2 }));
  const [top, right] = [0, 1].map((axis) => Math.max(...points.map((point) => point[axis])));
  assert.equal(top.toFixed(6), "11.000000");
  assert.equal(right.toFixed(6), "1.000000");
});

test("distance is to the line between two points, not beyond its ends", () => {
  assert.equal(distance([1, 1], [0, 0], [2, 0]), 1);
  assert.equal(distance([5, 4], [0, 0], [2, 0]), 5);
  assert.equal(distance([3, 4], [0, 0], [0, 0]), 5);
});

test("inside and outside of a closed line", () => {
  const line = outline(CIRCLE);
  assert.ok(encloses([10, 0.5], line));
  assert.ok(!encloses([10, 3.5], line));
});

test("a click takes the line under it, of a selected shape a handle first", () => {
  const shapes = [SQUARE, CIRCLE];
  assert.deepEqual(hit(shapes, -1, [4, 1], 0.1), { shape: SQUARE, handle: -1 });
  assert.deepEqual(hit(shapes, 0, [4, 2], 0.1), { shape: SQUARE, handle: 2 });
  assert.deepEqual(hit(shapes, -1, [4, 2], 0.1), { shape: SQUARE, handle: -1 });
});

test("a click inside takes the shape on top, the selected one before others", () => {
  const above = shape("circle", [[2, 1], [3, 1]], { layer: 5 });
  assert.equal(hit([SQUARE, above], -1, [2, 1.5], 0.1).shape, above);
  assert.equal(hit([SQUARE, above], 0, [2, 1.5], 0.1).shape, SQUARE);
  assert.equal(hit([SQUARE, above], -1, [2, 1.5], 0.1).handle, null);
  assert.equal(hit([SQUARE, above], 0, [30, 30], 0.1), null);
});
