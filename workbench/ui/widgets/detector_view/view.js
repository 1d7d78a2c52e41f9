// The detector on canvas. Arrays come once, as binary messages; every slider movement is drawn here.

const LEVEL = { lines: 1, mask: 2, colour: 3, pool: 4 };
const GAP = 6; // between pictures, CSS pixels

/** Arrays of one model, shared by all its views. */
function newStore() {
  const store = { arrays: {}, maps: {}, views: new Set(), assembled: new Map() };
  let stamps = 0;
  store.layout = (name) => {
    if (name === "stack") return (store.maps.stack ||= stackMap());
    return store.maps[name] || store.maps.assembled;
  };
  store.inLayout = (name, layout, gate) => {
    const map = store.layout(layout), values = store.arrays[name];
    if (!map || !values) return null;
    const bits = gate && store.inLayout("bits", layout);
    const key = [name, ...(bits ? ["gate", gate] : []), map === store.maps.assembled ? "assembled" : layout].join("/");
    if (!store.assembled.has(key)) {
      const made = bits ? gated(store.inLayout(name, layout), bits, gate) : (values instanceof Uint32Array ? assembleBits : assemble)(values, map);
      store.assembled.set(key, made);
    }
    return store.assembled.get(key);
  };
  store.forget = (test) => { for (const key of [...store.assembled.keys()]) if (test(key)) store.assembled.delete(key); };
  store.receive = (message, buffers) => {
    const { type, kind, name } = message;
    if (type !== "array" && type !== "forget") return;
    store.forget((key) => key.startsWith(`${name}/`) || key.endsWith(`/${name}`) || (name === "bits" && key.includes("/gate/")));
    if (type === "forget") { delete store.arrays[name]; delete store.maps[name]; } else {
      const [bytes, more] = buffers.map((b) => (b.buffer ? b.buffer.slice(b.byteOffset, b.byteOffset + b.byteLength) : b));
      if (kind !== "map") store.arrays[name] = message.dtype === "uint32" ? new Uint32Array(bytes) : new Float32Array(bytes);
      else {
        store.maps[name] = { rows: message.shape[0], cols: message.shape[1], index: new Int32Array(bytes),
          frame: message.frame, asics: new Float32Array(more), stamp: ++stamps };
      }
    }
    for (const view of store.views) view.arrived(name);
  };
  return store;
}

function render(store, model, el) {
  const off = [], get = (name) => model.get(name);
  const view = { store, model, get, tiles: [], columns: 1, box: null, drawing: null, hover: null, screen: newScreen(store) };
  let level = 0, frame = 0, waiting = false, settle = 0, phase = false;
  view.put = (changes) => {
    for (const [name, value] of Object.entries(changes)) model.set(name, value);
    model.save_changes();
  };
  view.when = (names, act) => names.split(" ").forEach((name) => {
    model.on(`change:${name}`, act);
    off.push(() => model.off(`change:${name}`, act));
  });

  // ---- what is shown -----------------------------------------------------------------------
  view.ratio = () => Math.min(2, window.devicePixelRatio || 1);
  view.blinks = () => (store.arrays.other && get("show_mask") ? "mask" : store.maps.corrected ? "geometry" : "");
  const second = (what) => phase && view.blinks() === what;
  view.layout = () => (second("geometry") ? "corrected" : get("arrangement"));
  view.map = () => store.layout(view.layout());
  view.shownRuns = () => (get("tiles") === "bright runs" ? get("runs") : []);
  view.thresholds = (low = "") => ({ avg_max: get(`${low}avg_max`), stddev_max: get(`${low}stddev_max`), maxproj_min: get(`${low}maxproj_min`) });
  view.gates = () => {
    const limits = view.thresholds();
    if (get("two_gains")) return [{ name: "high", limits }, { name: "low", limits: view.thresholds("low_") }];
    return [{ name: get("keepers").length ? "any" : "", limits }];
  };
  view.limitsOf = (name) => {
    const own = get("limits")[name];
    if (own) return own;
    const of = store.arrays.maximum && !NAMES[name] ? "maximum" : name, key = `auto/${of}`; // runs share one scale
    if (!store.assembled.has(key) && store.arrays[of]) store.assembled.set(key, percentiles(store.arrays[of], 0.5, 99.5));
    return store.assembled.get(key) || [0, 1];
  };

  // ---- the window: which part of the detector ----------------------------------------------
  function fitted(tile) {
    const m = view.map(), w = tile.canvas.width, h = tile.canvas.height;
    const perPixel = Math.max(m.cols / w, m.rows / h);
    return { perPixel, row: (m.rows - h * perPixel) / 2, col: (m.cols - w * perPixel) / 2 };
  }
  view.boxOf = (tile) => view.box || fitted(tile);
  view.fit = () => { view.box = null; view.put({ window: [] }); need(LEVEL.pool); };
  view.oneToOne = () => {
    const tile = view.tiles[0];
    if (view.map() && tile) view.zoom(view.boxOf(tile).perPixel, tile, tile.canvas.width / 2, tile.canvas.height / 2);
  };
  view.zoom = (factor, tile, x, y) => {
    const b = view.boxOf(tile), perPixel = Math.min(8, Math.max(1 / 96, b.perPixel / factor));
    view.box = { perPixel, row: b.row + y * (b.perPixel - perPixel), col: b.col + x * (b.perPixel - perPixel) };
    moving();
  };
  view.pan = (tile, dx, dy) => {
    const b = view.boxOf(tile);
    view.box = { perPixel: b.perPixel, row: b.row - dy * b.perPixel, col: b.col - dx * b.perPixel };
    moving();
  };
  function moving() { // coarse while moving, every pixel once it rests
    clearTimeout(settle);
    settle = setTimeout(() => {
      settle = 0; need(LEVEL.pool);
      const { box, tiles: [t] } = view;
      if (box && t) view.put({ window: [box.row, box.col, box.row + t.canvas.height * box.perPixel, box.col + t.canvas.width * box.perPixel] });
    }, 120);
    need(LEVEL.pool);
  }
  function toWindow() { // the window was set from Python
    const w = get("window"), t = view.tiles[0];
    if (settle) return;
    if (!w.length) view.box = null;
    else if (t) view.box = { row: w[0], col: w[1], perPixel: Math.max((w[2] - w[0]) / t.canvas.height, (w[3] - w[1]) / t.canvas.width) };
    need(LEVEL.pool);
  }
  view.toMm = (row, col) => { const f = view.map().frame || [0, 0, 1]; return [f[0] + row * f[2], f[1] + col * f[2]]; };
  view.toScreen = (tile, mm) => {
    const f = view.map().frame, b = view.boxOf(tile);
    return [((mm[1] - f[1]) / f[2] + 0.5 - b.col) / b.perPixel, ((mm[0] - f[0]) / f[2] + 0.5 - b.row) / b.perPixel];
  };
  view.placeAt = (tile, x, y) => {
    const b = view.boxOf(tile), row = b.row + y * b.perPixel, col = b.col + x * b.perPixel;
    return { tile, x, y, row: Math.floor(row), col: Math.floor(col), mm: view.toMm(row - 0.5, col - 0.5) };
  };
  view.flatAt = (row, col) => {
    const m = view.map();
    return m && row >= 0 && col >= 0 && row < m.rows && col < m.cols ? m.index[row * m.cols + col] : -1;
  };

  // ---- tiles -------------------------------------------------------------------------------
  function rebuild() {
    const names = TILE_SETS[get("tiles")] || (view.shownRuns().length ? view.shownRuns() : IMAGES);
    view.tiles = names.map((name) => makeTile(view, name));
    stage.replaceChildren(...view.tiles.map((tile) => tile.node));
    view.tiles.forEach((tile) => listen(view, tile));
    resize();
  }
  /** Height for the pictures: what the window leaves beside, or above, the controls. */
  function room() {
    if (get("height")) return get("height");
    const app = root.closest(".cw-app"), beside = app && app.clientWidth > 1.25 * stage.clientWidth;
    return Math.max(280, beside ? window.innerHeight - 360 : 0.48 * window.innerHeight);
  }
  /** As many columns as make the pictures largest. */
  function resize() {
    const wide = stage.clientWidth, n = view.tiles.length;
    if (!wide || !n) return;
    const m = view.map(), aspect = m ? m.rows / m.cols : 1, high = room(), head = 28;
    let best = { size: -1 };
    for (let columns = 1; columns <= n; columns++) {
      const rows = Math.ceil(n / columns), w = Math.floor((wide - GAP * (columns - 1)) / columns) - 2;
      const h = Math.min(w * aspect, (high - (rows - 1) * (GAP + head)) / rows), size = Math.min(w, h / aspect);
      if (size > best.size + 1) best = { size, columns, w, h: Math.round(h) };
    }
    const ratio = view.ratio(), { columns, w, h } = best;
    view.columns = columns;
    stage.style.gridTemplateColumns = `repeat(${columns}, minmax(0, 1fr))`;
    for (const tile of view.tiles) {
      for (const c of [tile.canvas, tile.lines]) {
        c.width = Math.max(1, Math.round(w * ratio)); c.height = Math.max(1, Math.round(h * ratio));
        c.style.width = `${w}px`; c.style.height = `${h}px`;
      }
      tile.frame.style.height = `${h}px`;
      tile.picture = null;
    }
    need(LEVEL.pool);
  }

  // ---- drawing -----------------------------------------------------------------------------
  function need(which) {
    level = Math.max(level, which);
    if (!waiting) { waiting = true; requestAnimationFrame(() => { waiting = false; drawAll(); }); }
  }
  view.need = need;
  function drawAll() {
    const todo = level, [first] = view.tiles;
    level = 0;
    const empty = !view.map() || !Object.keys(store.arrays).length;
    if (root.classList.toggle("cw-empty", empty) !== wasEmpty) { wasEmpty = empty; resize(); }
    if (!empty && first && first.canvas.width > 1) draw(todo, first);
    if (todo > LEVEL.lines) view.readAgain();
    root.dataset.frame = String(++frame);
  }
  let wasEmpty = null;
  function draw(todo, first) {
    const { screen } = view, { width, height } = first.canvas, limits = view.thresholds(), on = get("show_mask");
    const masks = on || view.tiles.some((tile) => tile.name === "mask"), other = second("mask");
    screen.look(view.layout(), view.map(), view.boxOf(first), width, height, settle !== 0);
    const marks = masks && screen.mark(view.gates(), other ? [] : get("rules"), other ? "other" : store.arrays.bits ? "bits" : null);
    if (todo >= LEVEL.mask || marks) {
      const show = { opacity: on ? get("mask_opacity") : 0, log: get("log"), table: todo >= LEVEL.colour ? colourTable(get("colormap")) : null };
      for (const tile of view.tiles) {
        const scale = view.limitsOf(tile.name), recolour = todo >= LEVEL.colour || !tile.picture;
        show.table ||= recolour ? colourTable(get("colormap")) : null;
        paintTile(screen, tile, scale, show, recolour);
        if (recolour && tile.name !== "mask") showScale(tile, scale, show.table);
        const name = get("names")[view.layout()] || (second("geometry") ? "corrected" : ""), note = other ? ", B" : name && `, ${name}`;
        const text = tile.full + note;
        if (tile.title.textContent !== text) tile.title.textContent = text;
      }
      root.dataset.limits = `${limits.avg_max} ${limits.stddev_max} ${limits.maxproj_min}`;
    }
    if (todo === LEVEL.lines || todo === LEVEL.pool) view.tiles.forEach((tile) => drawLines(view, tile));
  }

  // ---- wiring ------------------------------------------------------------------------------
  view.help = (open) => { sheet.hidden = open === undefined ? !sheet.hidden : !open; };
  view.readOut = () => { status.textContent = readOutText(view); };
  view.readAgain = () => { // what lies under a resting mouse has changed
    const { hover } = view;
    if (hover && view.map() && view.tiles.includes(hover.tile)) view.hover = { ...hover, ...view.placeAt(hover.tile, hover.x, hover.y) };
    view.readOut();
  };
  const sheet = makeHelp(), stage = element("div", { class: "cw-stage" });
  const status = element("div", { class: "cw-status", role: "status", "aria-live": "off" });
  const hint = element("div", { class: "cw-hint" }, "Images appear here when runs are averaged or image files are opened.");
  const root = element("div", { class: "cw-view cw-empty" }, hint, makeToolbar(view), stage, status, sheet);
  el.append(root);
  const { when } = view;
  when("avg_max stddev_max maxproj_min low_avg_max low_stddev_max low_maxproj_min two_gains keepers rules show_mask mask_opacity", () => need(LEVEL.mask));
  when("colormap log limits names", () => need(LEVEL.colour));
  when("arrangement blink", () => { view.box = null; phase = false; resize(); });
  when("show_rings show_outlines rings quadrant_offsets centre_mm shapes selected can_draw bit_names distance_mm wavelength", () => { need(LEVEL.lines); view.readOut(); });
  when("shapes", () => { view.bending = null; });
  when("tiles", rebuild);
  when("runs", () => { if (get("tiles") === "bright runs") rebuild(); });
  when("height", resize);
  when("mode", () => { view.drawing = null; need(LEVEL.lines); });
  when("window", toWindow);
  view.arrived = (name) => {
    view.screen.forget(name);
    store.maps[name] || ["assembled", "corrected"].includes(name) ? resize() : need(LEVEL.pool);
  };
  store.views.add(view);
  const blinker = setInterval(() => {
    const next = get("blink") && view.blinks() ? !phase : false;
    if (next !== phase) { phase = next; need(LEVEL.pool); }
  }, 500);
  let size = "";
  const check = () => { const now = `${stage.clientWidth} ${room()}`; if (now !== size) { size = now; resize(); } };
  const watcher = new ResizeObserver(check);
  watcher.observe(stage);
  window.addEventListener("resize", check);
  rebuild(); view.readOut();
  return () => {
    watcher.disconnect(); window.removeEventListener("resize", check);
    clearInterval(blinker); clearTimeout(settle);
    store.views.delete(view); off.forEach((f) => f());
  };
}

export default () => { // called once for each model
  const store = newStore();
  return {
    initialize({ model }) {
      const receive = (message, buffers) => {
        const begun = performance.now();
        store.receive(message, buffers);
        if (message.type !== "array") return;
        // told once it is drawn and three times as long has been left to everything else
        const tell = () => { try { model.send({ type: "got", name: message.name }); } catch { /* the kernel has gone */ } };
        requestAnimationFrame(() => setTimeout(() => setTimeout(tell, 3 * (performance.now() - begun))));
      };
      model.on("msg:custom", receive);
      model.send({ type: "need" });
      return () => model.off("msg:custom", receive);
    },
    render({ model, el }) { return render(store, model, el); },
  };
};
