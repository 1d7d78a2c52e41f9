import assert from "node:assert/strict";
import { test } from "node:test";
import { Detector, resolution } from "../../workbench/ui/frontend/src/detector.js";
import { CSPAD, SINGLES, SQUARES } from "./detectors.mjs";

test("a pixel of a CSPAD is in a quadrant, sensor and ASIC", () => {
  const detector = new Detector(CSPAD);
  const flat = (13 * 185 + 90) * 388 + 200;
  assert.deepEqual(detector.address(flat), {
    module: 13, slow: 90, fast: 200, group: 1, place: 5, asic: 1,
  });
  assert.equal(detector.describe(flat), "Q1 sensor 5 ASIC 1 · fast 200 slow 90");
});

test("the ASICs of a module are counted along its rows", () => {
  const detector = new Detector(SQUARES);
  const asics = [[0, 0], [0, 4], [3, 0], [5, 7]].map(
    ([slow, fast]) => detector.address((5 * 6 + slow) * 8 + fast).asic,
  );
  assert.deepEqual(asics, [0, 1, 2, 3]);
});

test("a module that is a group of its own needs no number in it", () => {
  assert.equal(new Detector(SINGLES).describe(4 * 8 + 9), "Q1 ASIC 0 · fast 1 slow 1");
});

test("places are those of the ASIC's origin and steps", () => {
  const detector = new Detector(SQUARES);
  const asics = new Float32Array(6 * 16 * 4);
  const asic = 4 * 2 + 3; // the last of module 2
  asics.set([10, 20, 0.5, 0, 0, 0.25], 6 * asic);
  const flat = (2 * 6 + 4) * 8 + 6; // row 1, column 2 of that ASIC
  assert.deepEqual(detector.position(flat, asics), [11, 20.25]);
});

test("an outline goes around all pixels of an ASIC", () => {
  const detector = new Detector(SQUARES);
  const asics = new Float32Array(6 * 16 * 4);
  asics.set([10, 20, 1, 0, 0, 1], 6 * 16);
  const outlines = detector.outlines(1, asics);
  assert.equal(outlines.length, 16);
  assert.deepEqual(outlines[0], [[9.5, 19.5], [13.5, 19.5], [13.5, 22.5], [9.5, 22.5]]);
});

for (const facts of [CSPAD, SQUARES, SINGLES]) {
  test(`the raw stack of ${facts.name} shows every pixel once`, () => {
    const detector = new Detector(facts);
    const { rows, cols, index } = detector.stack();
    assert.equal(index.length, rows * cols);
    const seen = new Uint8Array(detector.pixels);
    for (const flat of index) if (flat >= 0) seen[flat]++;
    assert.ok(seen.every((times) => times === 1));
  });
}

test("the raw stack has the groups side by side, their modules below one another", () => {
  const { rows, cols, index } = new Detector(CSPAD).stack();
  assert.deepEqual([rows, cols], [8 * 189 - 4, 4 * 392 - 4]);
  assert.equal(index[189 * cols + 392], (8 + 1) * 185 * 388);
  assert.equal(index[185 * cols], -1);
});

test("spacing by Bragg's law; unknown without distance or wavelength", () => {
  assert.equal(resolution(100, 100, 1).toFixed(6), (1 / (2 * Math.sin(Math.PI / 8))).toFixed(6));
  for (const [radius, distance, wavelength] of [[0, 1, 1], [1, 0, 1], [1, 1, 0]]) {
    assert.ok(Number.isNaN(resolution(radius, distance, wavelength)));
  }
});
