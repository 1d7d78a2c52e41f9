import assert from "node:assert/strict";
import { test } from "node:test";
import { plugin, wants_to_run } from "../../workbench/ui/frontend/src/run_on_opening.js";

const code = (trusted) => ({ type: "code", trusted });
const panel = ({ runs = true, cells = [{ type: "markdown" }, code(true)], count = 0, kernel = true } = {}) => ({
  context: {
    ready: Promise.resolve(),
    model: { cells, getMetadata: (key) => (key === "workbench" ? { runs_on_opening: runs } : undefined) },
  },
  sessionContext: {
    ready: Promise.resolve(),
    session: kernel && {
      kernel: { requestExecute: () => ({ done: Promise.resolve({ content: { execution_count: count } }) }) },
    },
  },
});

test("a trusted notebook of the workbench runs on a fresh kernel", async () => {
  assert.equal(await wants_to_run(panel()), true);
});

test("nothing else runs", async () => {
  for (const other of [
    panel({ runs: null }),
    panel({ runs: "yes" }),
    panel({ cells: [code(true), code(false)] }),
    panel({ count: 2 }), // it runs already: the page was loaded again
    panel({ kernel: false }),
    {}, // a text file
  ]) {
    assert.equal(await wants_to_run(other), false);
  }
});

test("it runs once, and only where it is what is looked at", async () => {
  const ran = [];
  const changes = [];
  const shell = { currentWidget: panel(), currentChanged: { connect: (act) => changes.push(act) } };
  const commands = { execute: async (name) => ran.push(name) };
  plugin.activate({ restored: Promise.resolve(), shell, commands });
  await changes[0]();
  await changes[0]();
  assert.deepEqual(ran, ["notebook:run-all-cells"]);
  shell.currentWidget = panel();
  const left = changes[0]();
  shell.currentWidget = null;
  await left;
  assert.equal(ran.length, 1);
});
