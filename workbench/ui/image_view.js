// The detector on canvas. Arrays come once, as binary messages; every slider movement is drawn here.

const HELP = [
  ["wheel, + / −", "zoom"], ["drag, arrows (Shift: faster)", "pan"], ["double click, 0", "fit"],
  ["1 2 3 4", "only average, std deviation, maximum, mask"], ["5", "side by side"],
  ["M", "mask on or off"], ["L", "logarithmic scale"], ["C", "next colour map"],
  ["S", "assembled or raw stack"], ["R", "rings"], ["O", "outlines"], ["B", "blink geometries"],
  ["Esc", "stop drawing"], ["?", "this list"],
];
const TILE_SETS = {
  "side by side": ["average", "stddev", "maximum"], average: ["average"],
  "std deviation": ["stddev"], maximum: ["maximum"], mask: ["mask"],
  "all four": ["average", "stddev", "maximum", "mask"],
};
const RULES = ["average ≤ 0", "average > limit", "std ≤ 0", "std > limit", "maximum < limit"];
const RULE_BITS = { average: 3, stddev: 12, maximum: 16 };
const MASK_COLOUR = (255 << 24) | (0 << 16) | (94 << 8) | 213; // vermillion D55E00
const GOOD_COLOUR = (255 << 24) | (178 << 16) | (114 << 8) | 0; // blue 0072B2

function element(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value);
  }
  node.append(...children);
  return node;
}

/** Arrays of one model, shared by all its views. */
function newStore() {
  const store = { arrays: {}, maps: {}, views: new Set(), assembled: new Map() };
  store.layout = (name) => {
    if (name === "stack") return (store.maps.stack ||= stackMap());
    return store.maps[name] || store.maps.assembled;
  };
  store.inLayout = (name, layout) => {
    const map = store.layout(layout), values = store.arrays[name];
    if (!map || !values) return null;
    const key = `${name}/${map === store.maps.assembled ? "assembled" : layout}`;
    if (!store.assembled.has(key)) {
      store.assembled.set(key, name === "bits" ? assembleBits(values, map) : assemble(values, map));
    }
    return store.assembled.get(key);
  };
  store.forget = (test) => { for (const key of [...store.assembled.keys()]) if (test(key)) store.assembled.delete(key); };
  store.receive = (message, buffers) => {
    if (message.type === "forget") {
      delete store.arrays[message.name]; delete store.maps[message.name];
      store.forget((key) => key.startsWith(`${message.name}/`) || key.endsWith(`/${message.name}`));
    } else if (message.type === "array") {
      const [bytes, more] = buffers.map((b) => (b.buffer ? b.buffer.slice(b.byteOffset, b.byteOffset + b.byteLength) : b));
      if (message.kind === "map") {
        store.maps[message.name] = { rows: message.shape[0], cols: message.shape[1], index: new Int32Array(bytes), frame: message.frame, asics: new Float32Array(more) };
        store.forget((key) => key.endsWith(`/${message.name}`));
      } else {
        store.arrays[message.name] = message.dtype === "uint32" ? new Uint32Array(bytes) : new Float32Array(bytes);
        store.forget((key) => key.startsWith(`${message.name}/`));
      }
    } else return;
    for (const view of store.views) view.arrived(message.name);
  };
  return store;
}

function render(store, model, el) {
  const get = (name) => model.get(name);
  const put = (changes) => {
    for (const [name, value] of Object.entries(changes)) model.set(name, value);
    model.save_changes();
  };
  let box = null; // visible window {row, col, perPixel}: detector pixels per device pixel
  let tiles = [], level = 0, frame = 0, waiting = false, settle = 0, drawing = null, hover = null;
  const LEVEL = { lines: 1, mask: 2, colour: 3, pool: 4 };

  // ---- fixed parts -------------------------------------------------------------------------
  const choice = (name, options, title, label) => {
    const select = element("select", { title, "aria-label": label || title, onchange: () => put({ [name]: select.value }) });
    for (const option of options) select.append(element("option", { value: option }, option));
    const follow = () => { select.value = get(name); };
    model.on(`change:${name}`, follow); follow();
    return select;
  };
  const toggle = (name, text, title) => {
    const button = element("button", { type: "button", title, onclick: () => put({ [name]: !get(name) }) }, text);
    const follow = () => button.setAttribute("aria-pressed", String(!!get(name)));
    model.on(`change:${name}`, follow); follow();
    return button;
  };
  const action = (text, title, act) => element("button", { type: "button", title, onclick: act }, text);
  const modes = Object.entries({ pan: ["✥", "Move and pick: drag pans, a click shows the pixel"],
    rectangle: ["▭", "Draw a rectangle to mask (drag)"], circle: ["◯", "Draw a circle to mask (drag from its centre)"],
    polygon: ["⬠", "Draw a polygon to mask (click corners, double click ends)"],
    pixel: ["∙", "Mask or unmask single pixels (click)"] }).map(([mode, [text, title]]) => {
    const button = action(text, title, () => put({ mode }));
    button.dataset.mode = mode;
    return button;
  });
  const showModes = () => modes.forEach((b) => b.setAttribute("aria-pressed", String(b.dataset.mode === get("mode"))));
  const opacity = element("input", { type: "range", min: 0, max: 1, step: 0.05, title: "Opacity of the mask overlay",
    "aria-label": "mask opacity", oninput: () => put({ mask_opacity: Number(opacity.value) }) });
  const group = (...nodes) => element("span", { class: "cw-group" }, ...nodes);
  const blink = toggle("blink", "Blink", "Change between the present and the corrected geometry twice a second");
  const draw = group(...modes);
  const toolbar = element("div", { class: "cw-toolbar", role: "toolbar", "aria-label": "Image view" },
    group(choice("tiles", Object.keys(TILE_SETS), "Which images are shown", "images"),
      choice("arrangement", ["assembled", "corrected", "stack"], "Sensors in the present geometry, in the corrected geometry, or stacked as in the file", "layout")),
    group(choice("colormap", Object.keys(MAPS), "Colour map", "colour map"),
      toggle("log", "Log", "Logarithmic colour scale"), action("Auto", "Colour limits from percentiles of the pixels (0.5 and 99.5 %)", () => put({ limits: {} }))),
    group(toggle("show_mask", "Mask", "Lay the mask over the images"), opacity),
    group(toggle("show_rings", "Rings", "Rings of the calibrant"), toggle("show_outlines", "Outlines", "Outlines and names of the quadrants"), blink),
    draw,
    group(action("Fit", "Whole detector (double click or 0)", () => fit()), action("1:1", "One detector pixel per screen pixel", () => oneToOne()),
      action("⤓ PNG", "Save what is seen as a PNG file", () => screenshot()), action("?", "List of keys", () => help())));
  const stage = element("div", { class: "cw-stage cw-empty", "data-empty": "No images yet: average runs or open images first." });
  const status = element("div", { class: "cw-status", role: "status", "aria-live": "off" }, "");
  const sheet = element("div", { class: "cw-help", hidden: "", role: "dialog", "aria-label": "Keys" },
    element("table", {}, ...HELP.map(([key, what]) => element("tr", {}, element("th", {}, key), element("td", {}, what)))));
  const root = element("div", { class: "cw-view" }, toolbar, stage, status, sheet);
  el.append(root);

  // ---- geometry of the screen --------------------------------------------------------------
  const map = () => store.layout(layoutNow());
  const layoutNow = () => (blinkOn ? "corrected" : get("arrangement"));
  let blinkOn = false;
  const blinker = setInterval(() => {
    const next = get("blink") && store.maps.corrected ? !blinkOn : false;
    if (next !== blinkOn) { blinkOn = next; need(LEVEL.pool); }
  }, 500);

  function fit() { box = null; put({ window: [] }); need(LEVEL.pool); }
  function fitted(tile) {
    const m = map(), w = tile.canvas.width, h = tile.canvas.height;
    const perPixel = Math.max(m.cols / w, m.rows / h);
    return { perPixel, row: (m.rows - h * perPixel) / 2, col: (m.cols - w * perPixel) / 2 };
  }
  const boxOf = (tile) => box || fitted(tile);
  function oneToOne() {
    if (!map() || !tiles.length) return;
    zoom(boxOf(tiles[0]).perPixel, tiles[0], tiles[0].canvas.width / 2, tiles[0].canvas.height / 2);
  }
  function zoom(factor, tile, x, y) {
    const b = boxOf(tile), perPixel = Math.min(8, Math.max(1 / 64, b.perPixel / factor));
    box = { perPixel, row: b.row + y * (b.perPixel - perPixel), col: b.col + x * (b.perPixel - perPixel) };
    moving();
  }
  function pan(tile, dx, dy) {
    const b = boxOf(tile);
    box = { perPixel: b.perPixel, row: b.row - dy * b.perPixel, col: b.col - dx * b.perPixel };
    moving();
  }
  function moving() { // coarse while moving, every pixel once it rests
    clearTimeout(settle);
    settle = setTimeout(() => {
      settle = 0; need(LEVEL.pool);
      if (box && tiles.length) put({ window: [box.row, box.col, box.row + tiles[0].canvas.height * box.perPixel, box.col + tiles[0].canvas.width * box.perPixel] });
    }, 120);
    need(LEVEL.pool);
  }
  function toWindow() { // the window was set from Python
    const w = get("window");
    if (!w.length) { box = null; need(LEVEL.pool); return; }
    const t = tiles[0];
    if (t) box = { row: w[0], col: w[1], perPixel: Math.max((w[2] - w[0]) / t.canvas.height, (w[3] - w[1]) / t.canvas.width) };
    need(LEVEL.pool);
  }
  const toMm = (row, col) => { const f = map().frame || [0, 0, 1]; return [f[0] + row * f[2], f[1] + col * f[2]]; };
  const toScreen = (tile, mm) => {
    const f = map().frame, b = boxOf(tile);
    return [((mm[1] - f[1]) / f[2] + 0.5 - b.col) / b.perPixel, ((mm[0] - f[0]) / f[2] + 0.5 - b.row) / b.perPixel];
  };

  // ---- tiles -------------------------------------------------------------------------------
  function rebuild() {
    stage.textContent = "";
    tiles = (TILE_SETS[get("tiles")] || TILE_SETS["side by side"]).map((name) => {
      const canvas = element("canvas", { class: "cw-image", "data-image": name });
      const lines = element("canvas", { class: "cw-lines", tabindex: "0", role: "img", "aria-label": `${NAMES[name]}, press ? for keys` });
      const limits = ["low", "high"].map((which, i) => element("input", { type: "number", step: "any", "aria-label": `${NAMES[name]} ${which} colour limit, ADU`,
        title: `${i ? "Upper" : "Lower"} end of the colour scale, ADU`, onchange: (event) => {
          const pair = limitsOf(name).slice(); pair[i] = Number(event.target.value);
          if (pair[1] > pair[0]) put({ limits: { ...get("limits"), [name]: pair } });
        } }));
      const bar = element("canvas", { class: "cw-bar", width: 256, height: 1 });
      const title = element("span", { class: "cw-title" }, NAMES[name] + (name === "mask" ? "" : ", ADU"));
      const head = element("div", { class: "cw-head" }, title);
      if (name !== "mask") head.append(limits[0], bar, limits[1]);
      const frameNode = element("div", { class: "cw-frame" }, canvas, lines);
      stage.append(element("div", { class: "cw-tile" }, head, frameNode));
      const tile = { name, canvas, lines, limits, bar, frame: frameNode };
      listen(tile);
      return tile;
    });
    resize();
  }
  function resize() {
    const gap = 6, width = stage.clientWidth;
    if (!width || !tiles.length) return;
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    const m = map(), aspect = m ? m.rows / m.cols : 1;
    const most = Math.max(get("height"), Math.min(560, 0.3 * width)) + (tiles.length === 1 ? 40 : 0);
    const w = Math.floor((width - gap * (tiles.length - 1)) / tiles.length) - 2;
    const h = Math.round(Math.min(most, Math.max(180, w * aspect)));
    for (const tile of tiles) {
      for (const c of [tile.canvas, tile.lines]) {
        c.width = Math.max(1, Math.round(w * ratio)); c.height = Math.max(1, Math.round(h * ratio));
        c.style.width = `${w}px`; c.style.height = `${h}px`;
      }
      tile.frame.style.height = `${h}px`;
      tile.picture = tile.words = null;
    }
    need(LEVEL.pool);
  }

  // ---- drawing -----------------------------------------------------------------------------
  function need(which) {
    level = Math.max(level, which);
    if (!waiting) { waiting = true; requestAnimationFrame(() => { waiting = false; drawAll(); }); }
  }
  function limitsOf(name) {
    const own = get("limits")[name];
    if (own) return own;
    const key = `auto/${name}`;
    if (!store.assembled.has(key) && store.arrays[name]) store.assembled.set(key, percentiles(store.arrays[name], 0.5, 99.5));
    return store.assembled.get(key) || [0, 1];
  }
  let shared = {}, pooledFor = "";
  function poolAll() {
    const first = tiles[0], m = map(), b = boxOf(first), w = first.canvas.width, h = first.canvas.height;
    const xs = edges(b.col, b.perPixel, w, m.cols), ys = edges(b.row, b.perPixel, h, m.rows), quick = settle !== 0;
    shared = { pools: {}, live: null };
    for (const name of ["average", "stddev", "maximum"]) {
      const source = store.inLayout(name, layoutNow());
      if (source) shared.pools[name] = pool(source, m, xs, ys, quick);
    }
    const bits = store.inLayout("bits", layoutNow());
    if (bits) shared.bits = poolBits(bits, m, xs, ys);
    shared.flags = new Uint32Array(w * h);
    pooledFor = `${w}x${h}`;
  }
  function drawAll() {
    const todo = level;
    level = 0;
    if (!map() || !tiles.length || !tiles[0].canvas.width || !Object.keys(store.arrays).length) {
      stage.classList.toggle("cw-empty", true);
      root.dataset.frame = String(++frame);
      return;
    }
    stage.classList.remove("cw-empty");
    if (todo >= LEVEL.pool || !shared.pools || pooledFor !== `${tiles[0].canvas.width}x${tiles[0].canvas.height}`) poolAll();
    if (todo >= LEVEL.mask) {
      const limits = { avg_max: get("avg_max"), stddev_max: get("stddev_max"), maxproj_min: get("maxproj_min") };
      const used = {};
      for (const rule of get("rules")) if (shared.pools[rule]) used[rule] = shared.pools[rule];
      thresholdFlags(used, limits, shared.flags);
      const { flags, bits } = shared, on = get("show_mask"), strength = get("mask_opacity");
      for (const tile of tiles) drawTile(tile, flags, bits, on, strength, todo);
      root.dataset.limits = `${limits.avg_max} ${limits.stddev_max} ${limits.maxproj_min}`;
    }
    tiles.forEach(drawLines);
    root.dataset.frame = String(++frame);
  }
  function drawTile(tile, flags, bits, on, strength, todo) {
    const { canvas, name } = tile, n = canvas.width * canvas.height;
    if (!tile.picture) {
      tile.picture = new ImageData(canvas.width, canvas.height);
      tile.words = new Uint32Array(tile.picture.data.buffer);
      tile.below = new Uint32Array(n);
    }
    const words = tile.words, values = shared.pools[name] || null;
    if (name === "mask") {
      const any = Object.values(shared.pools)[0].mean;
      for (let k = 0; k < n; k++) words[k] = any[k] !== any[k] ? 0 : flags[k] || (bits && bits[k]) ? MASK_COLOUR : GOOD_COLOUR;
    } else if (values) {
      if (todo >= LEVEL.colour || !tile.painted) {
        const [low, high] = limitsOf(name), table = colourTable(get("colormap"));
        paint(values.mean, low, high, get("log"), table, tile.below);
        tile.painted = true;
        [low, high].forEach((v, i) => { if (document.activeElement !== tile.limits[i]) tile.limits[i].value = Number(v.toPrecision(4)); });
        const strip = new ImageData(256, 1);
        new Uint32Array(strip.data.buffer).set(table);
        tile.bar.getContext("2d").putImageData(strip, 0, 0);
      }
      words.set(tile.below);
      if (on && strength > 0) {
        const below = tile.below;
        if (bits) { for (let k = 0; k < n; k++) if ((flags[k] || bits[k]) && below[k]) words[k] = blend(below[k], MASK_COLOUR, strength); }
        else for (let k = 0; k < n; k++) if (flags[k]) words[k] = blend(below[k], MASK_COLOUR, strength);
      }
    } else words.fill(0);
    canvas.getContext("2d").putImageData(tile.picture, 0, 0);
  }
  function drawLines(tile) {
    const c = tile.lines.getContext("2d"), ratio = Math.min(2, window.devicePixelRatio || 1);
    c.clearRect(0, 0, tile.lines.width, tile.lines.height);
    if (!shared.pools[tile.name] && tile.name !== "mask") {
      c.fillStyle = getComputedStyle(root).color;
      c.font = `${13 * ratio}px sans-serif`; c.textAlign = "center";
      c.fillText("no image yet", tile.lines.width / 2, tile.lines.height / 2);
      return;
    }
    if (layoutNow() === "stack") return;
    const b = boxOf(tile), scale = 1 / (map().frame[2] * b.perPixel), asics = map().asics;
    if (asics && (get("show_outlines") || get("show_rings"))) {
      for (let q = 0; q < 4; q++) {
        const path = new Path2D();
        let x = 0, y = 0;
        for (let a = 16 * q; a < 16 * q + 16; a++) {
          const k = 6 * a, corner = (i, j) => toScreen(tile, [0, 1].map((d) => asics[k + d] + i * asics[k + 2 + d] + j * asics[k + 4 + d]));
          [[-0.5, -0.5], [193.5, -0.5], [193.5, 184.5], [-0.5, 184.5]].forEach(([i, j], n) => {
            const [px, py] = corner(i, j);
            x += px / 64; y += py / 64;
            n ? path.lineTo(px, py) : path.moveTo(px, py);
          });
          path.closePath();
        }
        if (get("show_outlines")) {
          c.strokeStyle = "rgba(255,255,255,0.75)"; c.lineWidth = ratio; c.stroke(path);
          c.font = `bold ${14 * ratio}px sans-serif`; c.textAlign = "center"; c.lineWidth = 3 * ratio;
          c.strokeStyle = "#000"; c.strokeText(`Q${q}`, x, y); c.fillStyle = "#fff"; c.fillText(`Q${q}`, x, y);
        }
        if (get("show_rings")) {
          c.save(); c.clip(path);
          const o = layoutNow() === "assembled" ? get("quadrant_offsets")[q] || [0, 0] : [0, 0], pitch = map().frame[2], centre = get("centre_mm");
          const [cx, cy] = toScreen(tile, [centre[0] + o[0] * pitch, centre[1] + o[1] * pitch]);
          let last = -Infinity; // rings closer than 22 screen pixels would hide the picture: zoom in
          for (const [radius] of get("rings")) {
            if ((radius * scale - last) / ratio < 22) continue;
            last = radius * scale;
            for (const [colour, wide, dash] of [["rgba(0,0,0,0.8)", 2.2, [3, 7]], ["#fff", 1.2, [3, 7]]]) {
              c.beginPath(); c.strokeStyle = colour; c.lineWidth = wide * ratio; c.setLineDash(dash.map((d) => d * ratio));
              c.arc(cx, cy, last, 0, 2 * Math.PI); c.stroke();
            }
          }
          c.restore();
        }
      }
    }
    c.lineWidth = 2 * ratio; c.strokeStyle = "#E69F00";
    for (const shape of [...get("shapes"), ...(drawing ? [drawing] : [])]) {
      const points = shape.points.map((p) => toScreen(tile, p));
      c.beginPath();
      if (shape.kind === "circle" && points.length > 1) {
        c.arc(points[0][0], points[0][1], Math.hypot(points[1][0] - points[0][0], points[1][1] - points[0][1]), 0, 2 * Math.PI);
      } else if (shape.kind === "rectangle" && points.length > 1) {
        const [p, q] = shape.points, four = [p, [q[0], p[1]], q, [p[0], q[1]]].map((v) => toScreen(tile, v));
        four.forEach((v, n) => (n ? c.lineTo(v[0], v[1]) : c.moveTo(v[0], v[1]))); c.closePath();
      } else points.forEach((v, n) => (n ? c.lineTo(v[0], v[1]) : c.moveTo(v[0], v[1])));
      if (shape.kind === "polygon" && shape !== drawing) c.closePath();
      c.stroke();
    }
    if (hover && hover.tile !== tile) { // the same place on the other images
      c.strokeStyle = "#fff"; c.lineWidth = ratio;
      c.beginPath(); c.arc((hover.col + 0.5 - b.col) / b.perPixel, (hover.row + 0.5 - b.row) / b.perPixel, 5 * ratio, 0, 7); c.stroke();
    }
  }

  // ---- read-out ----------------------------------------------------------------------------
  function flatAt(row, col) {
    const m = map();
    return m && row >= 0 && col >= 0 && row < m.rows && col < m.cols ? m.index[row * m.cols + col] : -1;
  }
  function reasons(flat, value) {
    const hits = [], rules = get("rules"), a = value.average, s = value.stddev, x = value.maximum;
    if (rules.includes("average") && a !== undefined) { if (a > get("avg_max")) hits.push(RULES[1]); else if (!(a > 0)) hits.push(RULES[0]); }
    if (rules.includes("stddev") && s !== undefined) { if (s > get("stddev_max")) hits.push(RULES[3]); else if (!(s > 0)) hits.push(RULES[2]); }
    if (rules.includes("maximum") && x !== undefined && !(x >= get("maxproj_min"))) hits.push(RULES[4]);
    const word = store.arrays.bits ? store.arrays.bits[flat] : 0;
    get("bit_names").forEach((name, i) => { if ((word >>> i) & 1) hits.push(name); });
    return hits;
  }
  function readOut() {
    if (!hover) { status.textContent = "Point at a pixel to read it."; return; }
    const flat = flatAt(hover.row, hover.col);
    if (flat < 0) {
      if (layoutNow() === "stack") { status.textContent = "gap between sensors"; return; }
      const [x, y] = toMm(hover.row, hover.col), d = resolution(x, y, get("distance_mm"), get("wavelength"));
      status.textContent = `gap between sensors · x ${x.toFixed(2)} mm, y ${y.toFixed(2)} mm` + (d > 0 ? ` · ${d.toFixed(2)} Å` : "");
      return;
    }
    const p = pixelAddress(flat), value = {};
    for (const name of ["average", "stddev", "maximum"]) if (store.arrays[name]) value[name] = store.arrays[name][flat];
    let text = `Q${p.quadrant} sensor ${p.section} ASIC ${p.asic} · fast ${p.fast} slow ${p.slow}`;
    const asics = map().asics || (store.maps.assembled && store.maps.assembled.asics);
    if (asics) {
      const [x, y] = pixelPosition(flat, asics), d = resolution(x - get("centre_mm")[0], y - get("centre_mm")[1], get("distance_mm"), get("wavelength"));
      text += ` · x ${x.toFixed(2)} mm, y ${y.toFixed(2)} mm` + (d > 0 ? ` · ${d.toFixed(2)} Å` : "");
    }
    text += ` · average ${digits(value.average)}, std ${digits(value.stddev)}, maximum ${digits(value.maximum)} ADU`;
    const hits = reasons(flat, value);
    status.textContent = text + (hits.length ? ` · MASKED: ${hits.join(", ")}` : " · good");
  }

  // ---- mouse and keys ----------------------------------------------------------------------
  function place(tile, event) {
    const r = tile.lines.getBoundingClientRect(), b = boxOf(tile);
    const x = ((event.clientX - r.left) / r.width) * tile.lines.width, y = ((event.clientY - r.top) / r.height) * tile.lines.height;
    const fr = b.row + y * b.perPixel, fc = b.col + x * b.perPixel;
    return { tile, x, y, row: Math.floor(fr), col: Math.floor(fc), mm: toMm(fr - 0.5, fc - 0.5) };
  }
  const finish = () => {
    if (drawing && drawing.points.length > 1 && !(drawing.kind === "polygon" && drawing.points.length < 3)) {
      model.send({ type: "shape", kind: drawing.kind, points: drawing.points });
    }
    drawing = null; need(LEVEL.lines);
  };
  function listen(tile) {
    let held = null;
    const on = (name, act) => tile.lines.addEventListener(name, act, { passive: false });
    on("wheel", (e) => {
      if (!map()) return;
      e.preventDefault();
      const at = place(tile, e);
      zoom(Math.exp(-e.deltaY * (e.deltaMode ? 0.05 : 0.0015)), tile, at.x, at.y);
    });
    on("pointerdown", (e) => {
      if (!map() || e.button) return;
      tile.lines.focus({ preventScroll: true }); tile.lines.setPointerCapture(e.pointerId);
      const at = place(tile, e), mode = get("mode");
      held = { x: at.x, y: at.y, moved: false };
      if (mode === "pan" || mode === "pixel" || layoutNow() === "stack") return;
      if (mode === "polygon") { if (!drawing) drawing = { kind: mode, points: [at.mm] }; drawing.points.push(at.mm); }
      else drawing = { kind: mode, points: [at.mm, at.mm] };
      need(LEVEL.lines);
    });
    on("pointermove", (e) => {
      if (!map()) return;
      const at = place(tile, e);
      hover = at; readOut();
      if (drawing) { drawing.points[drawing.points.length - 1] = at.mm; need(LEVEL.lines); }
      else if (held && get("mode") === "pan") {
        if (Math.hypot(at.x - held.x, at.y - held.y) > 3) held.moved = true;
        if (held.moved) { pan(tile, at.x - held.x, at.y - held.y); held.x = at.x; held.y = at.y; }
      } else need(LEVEL.lines);
    });
    on("pointerup", (e) => {
      if (!held) return;
      const at = place(tile, e), click = !held.moved, mode = get("mode");
      held = null;
      if (drawing && mode !== "polygon") finish();
      else if (click && (mode === "pan" || mode === "pixel")) {
        const flat = flatAt(at.row, at.col);
        if (flat >= 0) model.send({ type: mode === "pixel" ? "pixel" : "pick", flat });
      }
    });
    on("dblclick", () => {
      if (drawing) { drawing.points.pop(); drawing.points.pop(); drawing.points.length >= 3 ? finish() : (drawing = null); }
      else if (get("mode") === "pan") fit();
    });
    on("pointerleave", () => { hover = null; readOut(); need(LEVEL.lines); });
    on("keydown", (e) => key(e, tile));
  }
  function help() { sheet.hidden = !sheet.hidden; }
  function key(e, tile) {
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    const step = (e.shiftKey ? 0.25 : 0.05) * tile.canvas.width, mid = [tile.canvas.width / 2, tile.canvas.height / 2];
    const next = (list, now) => list[(list.indexOf(now) + 1) % list.length];
    const keys = {
      ArrowLeft: () => pan(tile, step, 0), ArrowRight: () => pan(tile, -step, 0), ArrowUp: () => pan(tile, 0, step), ArrowDown: () => pan(tile, 0, -step),
      "+": () => zoom(1.25, tile, ...mid), "=": () => zoom(1.25, tile, ...mid), "-": () => zoom(0.8, tile, ...mid), 0: fit, "?": help,
      1: () => put({ tiles: "average" }), 2: () => put({ tiles: "std deviation" }), 3: () => put({ tiles: "maximum" }), 4: () => put({ tiles: "mask" }), 5: () => put({ tiles: "side by side" }),
      m: () => put({ show_mask: !get("show_mask") }), l: () => put({ log: !get("log") }), c: () => put({ colormap: next(Object.keys(MAPS), get("colormap")) }),
      s: () => put({ arrangement: get("arrangement") === "stack" ? "assembled" : "stack" }), r: () => put({ show_rings: !get("show_rings") }),
      o: () => put({ show_outlines: !get("show_outlines") }), b: () => put({ blink: !get("blink") }),
      Escape: () => { drawing = null; sheet.hidden = true; put({ mode: "pan" }); need(LEVEL.lines); },
    };
    const act = keys[e.key] || keys[e.key.toLowerCase()];
    if (act) { act(); e.preventDefault(); e.stopPropagation(); }
  }
  function screenshot() {
    const gap = 8, w = tiles.reduce((sum, t) => sum + t.canvas.width + gap, -gap);
    const out = element("canvas", { width: w, height: tiles[0].canvas.height + 24 }), c = out.getContext("2d");
    c.fillStyle = "#fff"; c.fillRect(0, 0, out.width, out.height); c.fillStyle = "#000"; c.font = "16px sans-serif";
    let x = 0;
    for (const t of tiles) {
      c.fillText(NAMES[t.name], x + 4, 17); c.drawImage(t.canvas, x, 24); c.drawImage(t.lines, x, 24);
      x += t.canvas.width + gap;
    }
    element("a", { href: out.toDataURL("image/png"), download: "cspad.png" }).click();
  }

  // ---- wiring ------------------------------------------------------------------------------
  const off = [];
  const when = (names, act) => names.split(" ").forEach((name) => { model.on(`change:${name}`, act); off.push(() => model.off(`change:${name}`, act)); });
  when("avg_max stddev_max maxproj_min rules show_mask mask_opacity", () => need(LEVEL.mask));
  when("colormap log limits", () => need(LEVEL.colour));
  when("arrangement blink", () => { box = null; resize(); });
  when("show_rings show_outlines rings quadrant_offsets centre_mm shapes bit_names distance_mm wavelength", () => { need(LEVEL.lines); readOut(); });
  when("tiles", rebuild);
  when("height", resize);
  when("mode", () => { drawing = null; showModes(); need(LEVEL.lines); });
  when("window", () => { if (!settle) toWindow(); });
  when("can_draw", () => { draw.hidden = !get("can_draw"); });
  when("mask_opacity", () => { opacity.value = get("mask_opacity"); });
  draw.hidden = !get("can_draw"); opacity.value = get("mask_opacity");
  const view = { arrived: (name) => { name === "assembled" || name === "corrected" ? resize() : need(LEVEL.pool); } };
  store.views.add(view);
  const watcher = new ResizeObserver(() => { if (stage.clientWidth !== stage.lastWidth) { stage.lastWidth = stage.clientWidth; resize(); } });
  watcher.observe(stage);
  showModes(); rebuild(); readOut();
  return () => { watcher.disconnect(); clearInterval(blinker); clearTimeout(settle); store.views.delete(view); off.forEach((f) => f()); };
}

export default () => { // called once for each model
  const store = newStore();
  return {
    initialize({ model }) {
      model.on("msg:custom", store.receive);
      model.send({ type: "need" });
      return () => model.off("msg:custom", store.receive);
    },
    render({ model, el }) { return render(store, model, el); },
  };
};
