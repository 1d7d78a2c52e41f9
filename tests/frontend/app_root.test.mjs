import assert from "node:assert/strict";
import { test } from "node:test";
import { meaning } from "../../workbench/ui/frontend/src/app_root.js";

const press = (keys, inText = false) => {
  const parts = keys.split("+");
  const held = (name) => parts.includes(name);
  const [ctrlKey, metaKey, shiftKey, altKey] = ["Control", "Meta", "Shift", "Alt"].map(held);
  return meaning({ key: parts.at(-1), ctrlKey, metaKey, shiftKey, altKey }, inText);
};

test("undo and redo have the usual keys, on a Mac too", () => {
  assert.deepEqual(["Control+z", "Meta+z"].map((keys) => press(keys)), ["undo", "undo"]);
  const redo = ["Control+y", "Control+Shift+Z", "Meta+Shift+z"];
  assert.deepEqual(redo.map((keys) => press(keys)), ["redo", "redo", "redo"]);
});

test("in a text field they are the field's own; Esc and saving are not", () => {
  assert.deepEqual(["Control+z", "Control+y"].map((keys) => press(keys, true)), ["", ""]);
  assert.equal(press("Escape", true), "close");
  assert.equal(press("Control+s", true), "save");
});

test("no other key is JupyterLab's", () => {
  for (const keys of ["s", "z", "Alt+s", "Control+Alt+z", "Control+Shift+S", "Control+x", "Shift+Enter"]) {
    assert.equal(press(keys), "", keys);
  }
});
