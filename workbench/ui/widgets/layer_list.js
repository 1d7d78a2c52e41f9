// The rules and layers of a mask as a table. Rows are kept while only their values change.

function node(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}
const digits = (n) => (n === null || n === undefined ? "" : String(n).replace(/\B(?=(\d{3})+$)/g, "\u2009"));
const MODES = {
  union: "mask the selected pixels too", exclude: "un-mask the selected pixels",
  intersection: "of the masked pixels keep masked only the selected ones",
};

function render({ model, el }) {
  const send = (act, layer, value) => model.send({ act, layer, value });
  const select = (layer) => { if (layer !== model.get("selected")) { model.set("selected", layer); model.save_changes(); } };
  const body = node("tbody");
  const head = [["", ""], ["rule or layer", ""], ["", ""], ["removes", "pixels it removes, whether or not others do too"],
    ["alone", "pixels that come back if it is switched off"], ["together", "pixels it and those above remove", "cw-together"], ["", ""]];
  // JupyterLab's own keys (Enter, D D …) are not for what is typed here
  const enter = (e) => { if (e.key === "Enter" && e.target.type === "text") { e.stopPropagation(); e.target.blur(); } };
  const titles = node("thead", {}, node("tr", {}, ...head.map(([text, title, kind]) => node("th", { title, class: kind }, text))));
  const frame = node("div", { class: "cw-layers", "data-lm-suppress-shortcuts": "true", onkeydown: enter }, node("table", {}, titles, body));
  el.append(frame);
  let parts = [], shape = "";

  function layerRow(row) {
    const { layer } = row, of = `of layer ${layer + 1}`;
    const on = node("input", { type: "checkbox", title: "On or off", "aria-label": `on, ${of}`, onchange: () => send("on", layer, on.checked) });
    const name = node("input", { type: "text", class: "cw-layer-name", "aria-label": `name ${of}`, onchange: () => send("name", layer, name.value), onfocus: () => select(layer) });
    const mode = node("select", { "aria-label": `mode ${of}`, onchange: () => send("mode", layer, mode.value) },
      ...row.modes.map((one) => node("option", { value: one, title: MODES[one] }, one)));
    const button = (sign, title, act, value) => node("button", { type: "button", title, "aria-label": `${title} (layer ${layer + 1})`, onclick: () => send(act, layer, value) }, sign);
    const buttons = [button("↑", "Apply this layer earlier", "move", -1), button("↓", "Apply this layer later", "move", 1),
      button("✕", "Remove this layer; undo brings it back", "remove")];
    const line = node("tr", { onclick: (e) => { if (!e.target.closest("button, input[type=checkbox], select")) select(layer); } });
    return { line, on, name, mode, buttons };
  }
  function rebuild(rows) {
    parts = rows.map((row) => {
      const made = row.layer < 0 ? { line: node("tr", { class: "cw-rule" }) } : layerRow(row);
      made.numbers = ["", "", " cw-together"].map((more) => node("td", { class: `cw-number${more}` }));
      const label = made.name ? node("td", {}, node("span", { class: "cw-place" }, `${row.layer + 1}`), made.name) : node("td", { class: "cw-rule-name" });
      made.label = label;
      const mode = made.mode && row.modes.length > 1 ? [node("td", {}, made.mode)] : [];
      if (!mode.length) label.colSpan = 2; // more room for the name
      made.line.append(node("td", {}, ...(made.on ? [made.on] : [])), label, ...mode, ...made.numbers, node("td", { class: "cw-layer-buttons" }, ...(made.buttons || [])));
      return made;
    });
    body.replaceChildren(...parts.map((part) => part.line));
  }
  function show() {
    const rows = model.get("rows"), now = JSON.stringify(rows.map((row) => [row.layer, row.kind, row.modes]));
    if (now !== shape) { shape = now; rebuild(rows); }
    const last = rows.reduce((most, row) => Math.max(most, row.layer), -1);
    rows.forEach((row, n) => {
      const { line, on, name, mode, label, numbers, buttons } = parts[n];
      [row.total, row.alone, row.together].forEach((v, i) => { numbers[i].textContent = digits(v); });
      const keeps = row.kept !== null && row.kept !== undefined;
      if (keeps) numbers[0].textContent = `keeps ${digits(row.kept)}`;
      numbers[0].colSpan = keeps ? 2 : 1; numbers[1].hidden = keeps;
      line.classList.toggle("cw-off", row.on === false);
      line.classList.toggle("cw-none", !row.total && !row.kept);
      if (!name) { if (label.textContent !== row.name) label.textContent = row.name; return; }
      on.checked = row.on;
      if (document.activeElement !== name || name.dataset.shown !== row.name) name.value = name.dataset.shown = row.name;
      name.title = `${row.kind}: click for its settings; type to rename`;
      mode.value = row.mode; mode.title = MODES[row.mode];
      buttons[0].disabled = row.layer === 0; buttons[1].disabled = row.layer === last;
    });
    showSelected();
  }
  /** Scroll the table, never the page: the picture would move away under the mouse. */
  function reveal(line) {
    const top = line.offsetTop - titles.offsetHeight, bottom = line.offsetTop + line.offsetHeight;
    frame.scrollTop = Math.max(bottom - frame.clientHeight, Math.min(frame.scrollTop, top));
  }
  function showSelected() {
    const rows = model.get("rows"), selected = model.get("selected");
    rows.forEach((row, n) => {
      const here = row.layer >= 0 && row.layer === selected, { line } = parts[n];
      if (here && !line.classList.contains("cw-selected")) reveal(line);
      line.classList.toggle("cw-selected", here);
    });
  }
  model.on("change:rows", show);
  model.on("change:selected", showSelected);
  show();
  return () => { model.off("change:rows", show); model.off("change:selected", showSelected); };
}

export default { render };
