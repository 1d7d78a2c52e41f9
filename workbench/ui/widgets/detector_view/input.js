// Mouse, keys and the read-out under the pictures.

/** What masks a pixel, or would if a layer did not keep it. */
function verdict(view, flat, value) {
  const { get, store } = view, word = store.arrays.bits?.[flat] || 0, spared = store.arrays.spared?.[flat] || 0;
  const limits = view.thresholds(get("two_gains") && (word >>> 30) & 1 ? "low_" : ""), kept = word >>> 31;
  const broken = RULES.filter((rule) => {
    const v = value[rule.image];
    if (v === undefined || !get("rules").includes(rule.image)) return false;
    return rule.above ? v > rule.limit(limits) : !(v >= rule.limit(limits));
  }).map((rule) => rule.name);
  const named = (bits) => get("bit_names").filter((_, i) => (bits >>> i) & 1);
  const masked = [...(kept ? [] : broken), ...named(word)], would = [...(kept ? broken : []), ...named(spared)];
  const text = masked.length ? `MASKED: ${masked.join(", ")}` : "good";
  return would.length ? `${text} (would be masked: ${would.join(", ")}; kept by ${get("keepers")[(spared >>> 24) - 1] || "a layer"})` : text;
}

function readOutText(view) {
  const { hover, store, get } = view;
  if (!hover || !view.map()) return "Point at a pixel to read it.";
  const flat = view.flatAt(hover.row, hover.col), inStack = view.layout() === "stack", centre = get("centre_mm");
  const where = ([x, y]) => {
    const d = resolution(x - centre[0], y - centre[1], get("distance_mm"), get("wavelength"));
    return ` · x ${x.toFixed(2)} mm, y ${y.toFixed(2)} mm` + (d > 0 ? ` · ${d.toFixed(2)} Å` : "");
  };
  if (flat < 0) return "gap between sensors" + (inStack ? "" : where(view.toMm(hover.row, hover.col)));
  const p = pixelAddress(flat), value = {}, asics = view.map().asics || store.maps.assembled?.asics;
  for (const name of Object.keys(store.arrays)) value[name] = store.arrays[name][flat];
  let text = `Q${p.quadrant} sensor ${p.section} ASIC ${p.asic} · fast ${p.fast} slow ${p.slow}`;
  if (asics) text += where(pixelPosition(flat, asics));
  text += ` · average ${digits(value.average)}, std ${digits(value.stddev)}, maximum ${digits(value.maximum)} ADU`;
  for (const run of view.shownRuns()) text += `, ${run} ${digits(value[run])}`;
  return `${text} · ${verdict(view, flat, value)}`;
}

function listen(view, tile) {
  const { get, put, model } = view;
  let held = null;
  const place = (event) => {
    const r = tile.lines.getBoundingClientRect();
    return view.placeAt(tile, ((event.clientX - r.left) / r.width) * tile.lines.width, ((event.clientY - r.top) / r.height) * tile.lines.height);
  };
  const finish = () => {
    const shape = view.drawing;
    view.drawing = null;
    if (shape && shape.points.length > (shape.kind === "polygon" ? 2 : 1)) model.send({ type: "shape", kind: shape.kind, points: shape.points });
    view.need(LEVEL.lines);
  };
  const pick = (at) => {
    const flat = view.flatAt(at.row, at.col);
    if (flat >= 0) model.send({ type: get("mode") === "pixel" ? "pixel" : "pick", flat });
  };
  const on = (name, act) => tile.lines.addEventListener(name, act, { passive: false });
  on("wheel", (e) => {
    if (!view.map()) return;
    e.preventDefault();
    const at = place(e);
    view.zoom(Math.exp(-e.deltaY * (e.deltaMode ? 0.05 : 0.0015)), tile, at.x, at.y);
  });
  on("pointerdown", (e) => {
    if (!view.map() || e.button) return;
    tile.lines.focus({ preventScroll: true });
    tile.lines.setPointerCapture(e.pointerId);
    const at = place(e), mode = get("mode");
    held = { x: at.x, y: at.y, moved: false, grip: mode === "pan" ? grab(view, tile, at) : null, from: at.mm };
    if (held.grip) put({ selected: held.grip.shape.layer });
    if (mode === "pan" || mode === "pixel" || view.layout() === "stack") return;
    if (mode !== "polygon") view.drawing = { kind: mode, points: [at.mm, at.mm], width: 2 };
    else if (view.drawing) view.drawing.points.push(at.mm);
    else view.drawing = { kind: mode, points: [at.mm, at.mm] };
    view.need(LEVEL.lines);
  });
  on("pointermove", (e) => {
    if (!view.map()) return;
    const at = view.hover = place(e);
    view.readOut();
    if (view.drawing) view.drawing.points[view.drawing.points.length - 1] = at.mm;
    else if (held && get("mode") === "pan") {
      if (Math.hypot(at.x - held.x, at.y - held.y) > 3) held.moved = true;
      if (held.moved && held.grip) {
        view.bending = bent(held.grip.shape, held.grip.handle, held.from, at.mm);
        view.need(LEVEL.lines);
      } else if (held.moved) { view.pan(tile, at.x - held.x, at.y - held.y); held.x = at.x; held.y = at.y; }
      return;
    } else if (get("mode") === "pan") tile.lines.style.cursor = grab(view, tile, at) ? "move" : "";
    view.need(LEVEL.lines);
  });
  on("pointerup", (e) => {
    if (!held) return;
    const click = !held.moved && !held.grip, mode = get("mode"), { bending } = view;
    if (held.grip && held.moved && bending) {
      model.send({ type: "reshape", layer: bending.layer, points: bending.points });
      setTimeout(() => { if (view.bending === bending) { view.bending = null; view.need(LEVEL.lines); } }, 1500); // it was refused
    }
    held = null;
    if (view.drawing && mode !== "polygon") finish();
    else if (click && (mode === "pan" || mode === "pixel")) pick(place(e));
  });
  on("dblclick", () => {
    if (view.drawing) { view.drawing.points.splice(-2); finish(); } // the two clicks of the double click
    else if (get("mode") === "pan") view.fit();
  });
  on("pointerleave", () => { view.hover = null; view.readOut(); view.need(LEVEL.lines); });

  const middle = () => [tile.canvas.width / 2, tile.canvas.height / 2];
  const byKeys = (act) => { act(); view.hover = { ...view.placeAt(tile, ...middle()), byKeys: true }; view.readOut(); view.need(LEVEL.lines); };
  const next = (list, now) => list[(list.indexOf(now) + 1) % list.length];
  const flip = (name) => () => put({ [name]: !get(name) });
  const keys = {
    "+": () => byKeys(() => view.zoom(1.25, tile, ...middle())), "-": () => byKeys(() => view.zoom(0.8, tile, ...middle())),
    0: view.fit, "?": view.help, m: flip("show_mask"), l: flip("log"), r: flip("show_rings"), o: flip("show_outlines"), b: flip("blink"),
    1: () => put({ tiles: "average" }), 2: () => put({ tiles: "std deviation" }), 3: () => put({ tiles: "maximum" }),
    4: () => put({ tiles: "mask" }), 5: () => put({ tiles: "side by side" }),
    c: () => put({ colormap: next(Object.keys(MAPS), get("colormap")) }),
    s: () => put({ arrangement: get("arrangement") === "stack" ? "assembled" : "stack" }),
    Enter: () => {
      if (!view.drawing) return pick(view.placeAt(tile, ...middle()));
      view.drawing.points.pop(); finish(); // the corner that follows the mouse
    },
    Escape: () => { view.drawing = null; view.help(false); put({ mode: "pan", selected: -1 }); view.need(LEVEL.lines); },
    Delete: () => { if (get("shapes").some((shape) => shape.layer === get("selected"))) model.send({ type: "remove", layer: get("selected") }); },
  };
  keys["="] = keys["+"];
  on("keydown", (e) => {
    if (e.ctrlKey || e.metaKey || e.altKey || !view.map()) return;
    const way = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[e.key];
    const step = (e.shiftKey ? 0.25 : 0.05) * tile.canvas.width;
    const act = way ? () => byKeys(() => view.pan(tile, way[0] * step, way[1] * step)) : keys[e.key] || keys[e.key.toLowerCase()];
    if (!act) return;
    act();
    e.preventDefault(); e.stopPropagation();
  });
}
