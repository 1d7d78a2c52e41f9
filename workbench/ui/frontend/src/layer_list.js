// The rules and layers of a mask as a table. Rows are kept while only their values change.

import { element, subscriptions } from "./dom.js";
import { grouped } from "./numbers.js";

/** @import { Model } from "./types" */
/**
 * A rule (layer -1) or layer.
 * @typedef {object} Row
 * @property {string} name
 * @property {number} layer its place
 * @property {string} kind
 * @property {boolean} on
 * @property {string} mode
 * @property {string[]} modes
 * @property {number | null} total
 * @property {number | null} alone
 * @property {number | null} together
 * @property {number | null} kept
 */
/** @typedef {{ rows: Row[], selected: number }} Traits */
/**
 * What a row is made of; a rule has only its name and numbers.
 * @typedef {object} Line
 * @property {HTMLTableRowElement} line
 * @property {HTMLTableCellElement} label
 * @property {HTMLTableCellElement[]} numbers
 * @property {HTMLInputElement} [on]
 * @property {HTMLInputElement} [name]
 * @property {HTMLSelectElement} [mode]
 * @property {HTMLButtonElement[]} buttons
 */

/** @type {Record<string, string>} */
const MODES = {
  union: "mask the selected pixels too",
  exclude: "un-mask the selected pixels",
  intersection: "of the masked pixels keep masked only the selected ones",
};
const HEAD = [
  ["", ""],
  ["rule or layer", ""],
  ["", ""],
  ["removes", "pixels it removes, whether or not others remove them too"],
  ["only it", "pixels that nothing else removes; they come back if it is switched off"],
  ["sum so far", "pixels that it and all lines above it remove", "cw-together"],
  ["", ""],
];

/** @param {{ model: Model<Traits>, el: HTMLElement }} place */
function render({ model, el }) {
  /** @type {Line[]} */
  let lines = [];
  let shape = "";
  /** @param {string} act @param {number} layer @param {unknown} [value] */
  const send = (act, layer, value) => model.send({ act, layer, value });
  const select = (/** @type {number} */ layer) => {
    if (layer === model.get("selected")) return;
    model.set("selected", layer);
    model.save_changes();
  };
  const heads = HEAD.map(([text, title, kind]) => element("th", { title, class: kind }, text));
  const titles = element("thead", {}, element("tr", {}, ...heads));
  const body = element("tbody");
  const frame = element(
    "div",
    {
      class: "cw-layers",
      "data-lm-suppress-shortcuts": "true",
      onkeydown: (event) => {
        if (event.key !== "Enter" || event.target.type !== "text") return;
        event.stopPropagation(); // JupyterLab takes it otherwise
        event.target.blur();
      },
    },
    element("table", {}, titles, body),
  );
  el.append(frame);

  /** @param {Row} row @returns {Omit<Line, "label" | "numbers">} */
  function layerLine({ layer, modes }) {
    const of = `of layer ${layer + 1}`;
    const on = element("input", {
      type: "checkbox",
      title: "On or off",
      "aria-label": `on, ${of}`,
      onchange: () => send("on", layer, on.checked),
    });
    const name = element("input", {
      type: "text",
      class: "cw-layer-name",
      "aria-label": `name ${of}`,
      onchange: () => send("name", layer, name.value),
      onfocus: () => select(layer),
    });
    const mode = element(
      "select",
      { "aria-label": `mode ${of}`, onchange: () => send("mode", layer, mode.value) },
      ...modes.map((name) => element("option", { value: name, title: MODES[name] }, name)),
    );
    /** @param {string} sign @param {string} title @param {string} act @param {number} [value] */
    const button = (sign, title, act, value) =>
      element(
        "button",
        {
          type: "button",
          title,
          "aria-label": `${title} (layer ${layer + 1})`,
          onclick: () => send(act, layer, value),
        },
        sign,
      );
    const buttons = [
      button("↑", "Apply this layer earlier", "move", -1),
      button("↓", "Apply this layer later", "move", 1),
      button("✕", "Remove this layer; undo brings it back", "remove"),
    ];
    const line = element("tr", {
      onclick: (event) => {
        if (!event.target.closest("button, input[type=checkbox], select")) select(layer);
      },
    });
    return { line, on, name, mode, buttons };
  }

  /** @param {Row} row @returns {Line} */
  function makeLine(row) {
    const made = row.layer < 0 ? { line: element("tr", { class: "cw-rule" }), buttons: [] } : layerLine(row);
    const numbers = ["", "", " cw-together"].map((more) => element("td", { class: `cw-number${more}` }));
    const label = made.name
      ? element("td", {}, element("span", { class: "cw-place" }, `${row.layer + 1}`), made.name)
      : element("td", { class: "cw-rule-name" });
    const mode = made.mode && row.modes.length > 1 ? [element("td", {}, made.mode)] : [];
    if (!mode.length) label.colSpan = 2; // more room for the name
    made.line.append(
      element("td", {}, ...(made.on ? [made.on] : [])),
      label,
      ...mode,
      ...numbers,
      element("td", { class: "cw-layer-buttons" }, ...made.buttons),
    );
    return { ...made, label, numbers };
  }

  /** @param {Row} row @param {Line} line @param {number} last layer */
  function fill(row, { line, on, name, mode, label, numbers, buttons }, last) {
    [row.total, row.alone, row.together].forEach((count, n) => {
      numbers[n].textContent = grouped(count);
    });
    const keeps = row.kept !== null && row.kept !== undefined;
    if (keeps) numbers[0].textContent = `keeps ${grouped(row.kept)}`;
    numbers[0].colSpan = keeps ? 2 : 1;
    numbers[1].hidden = keeps;
    line.classList.toggle("cw-off", row.on === false);
    line.classList.toggle("cw-none", !row.total && !row.kept);
    if (!on || !name || !mode) {
      if (label.textContent !== row.name) label.textContent = row.name;
      return;
    }
    on.checked = row.on;
    if (document.activeElement !== name || name.dataset.shown !== row.name) {
      name.value = row.name;
      name.dataset.shown = row.name;
    }
    name.title = `${row.kind}: click for its settings; type to rename`;
    mode.value = row.mode;
    mode.title = MODES[row.mode];
    buttons[0].disabled = row.layer === 0;
    buttons[1].disabled = row.layer === last;
  }

  function show() {
    const rows = model.get("rows");
    const now = JSON.stringify(rows.map((row) => [row.layer, row.kind, row.modes]));
    if (now !== shape) {
      shape = now;
      lines = rows.map(makeLine);
      body.replaceChildren(...lines.map(({ line }) => line));
    }
    const last = Math.max(-1, ...rows.map((row) => row.layer));
    rows.forEach((row, n) => {
      fill(row, lines[n], last);
    });
    showSelected();
  }

  /** Scroll the table, never the page: the picture would move away under the mouse.
   * @param {HTMLElement} line */
  function reveal(line) {
    const top = line.offsetTop - titles.offsetHeight;
    const bottom = line.offsetTop + line.offsetHeight;
    frame.scrollTop = Math.max(bottom - frame.clientHeight, Math.min(frame.scrollTop, top));
  }

  function showSelected() {
    const selected = model.get("selected");
    model.get("rows").forEach((row, n) => {
      const here = row.layer >= 0 && row.layer === selected;
      const { line } = lines[n];
      if (here && !line.classList.contains("cw-selected")) reveal(line);
      line.classList.toggle("cw-selected", here);
    });
  }

  const traits = subscriptions(model);
  traits.when(["rows"], show);
  traits.when(["selected"], showSelected);
  show();
  return traits.end;
}

export default { render };
