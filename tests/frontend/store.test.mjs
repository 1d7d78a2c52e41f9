import assert from "node:assert/strict";
import { test } from "node:test";
import { Detector } from "../../workbench/ui/frontend/src/detector.js";
import { Screen } from "../../workbench/ui/frontend/src/screen.js";
import { Store } from "../../workbench/ui/frontend/src/store.js";
import { SQUARES } from "./detectors.mjs";

const detector = new Detector(SQUARES);
const bytes = (array) => new DataView(array.buffer);
const image = (value) => new Float32Array(detector.pixels).fill(value);

function filled() {
  const store = new Store(() => detector);
  store.receive({ type: "array", kind: "image", name: "average" }, [bytes(image(3))]);
  return store;
}

test("arrays come as bytes and go when they are forgotten", () => {
  const store = filled();
  const names = [];
  store.listeners.add((name) => names.push(name));
  assert.equal(store.images.average[7], 3);
  assert.ok(!store.receive({ type: "forget", name: "average" }, []));
  assert.equal(store.images.average, undefined);
  assert.ok(!store.receive({ type: "other", name: "average" }, []));
  assert.deepEqual(names, ["average"]);
});

test("a picture is laid out once, and again when its image or map changes", () => {
  const store = filled();
  const map = { type: "array", kind: "map", name: "assembled", shape: [1, 2], frame: [0, 0, 0.1] };
  const send = (first) =>
    store.receive(map, [bytes(Int32Array.of(first, -1)), bytes(new Float32Array(6))]);
  assert.equal(store.imageIn("average", "assembled"), null);
  send(0);
  const picture = store.imageIn("average", "assembled");
  assert.deepEqual([...picture], [3, Number.NaN]);
  assert.equal(store.imageIn("average", "corrected"), picture, "there is no other geometry");
  store.receive({ type: "array", kind: "image", name: "average" }, [bytes(image(4))]);
  assert.equal(store.imageIn("average", "assembled")[0], 4);
  const before = store.imageIn("average", "assembled");
  send(1);
  assert.notEqual(store.imageIn("average", "assembled"), before);
});

test("a gate follows the layers' words", () => {
  const store = filled();
  const bits = { type: "array", kind: "bits", name: "bits" };
  const words = new Uint32Array(detector.pixels);
  store.receive(bits, [bytes(words)]);
  const first = () => store.imageIn("average", "stack", "any")[0];
  assert.equal(first(), 3);
  words[0] = 2 ** 31;
  store.receive(bits, [bytes(words)]);
  assert.ok(Number.isNaN(first()));
});

test("the raw stack is that of the detector, and made anew for another", () => {
  let present = detector;
  const store = new Store(() => present);
  assert.equal(store.map("stack").cols, 4 * (8 + 4) - 4);
  present = new Detector({ ...SQUARES, columns: 10 });
  store.reset();
  assert.equal(store.map("stack").cols, 4 * (10 + 4) - 4);
});

const RULES = [
  { rule: "low", image: "average", sign: "<", limit: "least", unit: "ADU" },
  { rule: "high", image: "average", sign: ">", limit: "most", unit: "ADU" },
];
const gates = (least, most) => [{ gate: "", limits: [least, most] }];

test("flags change only where limits, images or layers do", () => {
  const store = filled();
  const screen = new Screen(store);
  const map = store.map("stack");
  screen.look("stack", map, { row: 0, col: 0, perPixel: 1 }, map.cols, map.rows, false);
  assert.ok(screen.mark(RULES, gates(2, 5), ["average"], null));
  assert.ok(screen.flags.every((flag) => flag === 0));
  assert.ok(!screen.mark(RULES, gates(2, 5), ["average"], null));
  assert.ok(screen.mark(RULES, gates(3.5, 5), ["average"], null));
  assert.equal(screen.flags[0], 1);
  assert.ok(screen.mark(RULES, gates(3.5, 5), [], null));
  assert.equal(screen.flags[0], 0, "a rule that is not in force masks nothing");
  store.receive({ type: "array", kind: "image", name: "average" }, [bytes(image(9))]);
  screen.forget("average", RULES);
  assert.ok(screen.mark(RULES, gates(3.5, 5), ["average"], null));
  assert.equal(screen.flags[0], 2);
});
