// The four correlation maps: peak, offset in force, and offsets set by clicks and keys.

const MAP_COLOURS = "44015448186a472d7b4240863b528b33638d2c728e26828e21918c1fa08828ae803fbc735ec96284d44baddc30d8e219fde725";

function tag(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

function colours() {
  const a = MAP_COLOURS.match(/../g).map((pair) => parseInt(pair, 16)), out = [];
  for (let i = 0; i < 256; i++) {
    const at = (i / 255) * 16, low = Math.min(15, Math.floor(at)), part = at - low;
    out.push([0, 1, 2].map((k) => Math.round(a[3 * low + k] * (1 - part) + a[3 * low + 3 + k] * part)));
  }
  return out;
}

const number = (v) => String(v).replace("-", "\u2212");

function isDark(element) {
  const [r, g, b] = (getComputedStyle(element).backgroundColor.match(/[\d.]+/g) || [255, 255, 255]).map(Number);
  return r + g + b < 380;
}

function render({ model, el }) {
  const table = colours(), root = tag("div", { class: "cw-maps" });
  el.append(root);
  // x to the bottom, y to the right: as the detector is drawn above
  const cards = [0, 1, 2, 3].map((q) => {
    const canvas = tag("canvas", { class: "cw-map", tabindex: "0", role: "img", "aria-label": `Correlation map of quadrant ${q}`, title: "Click or drag: set this quadrant's offset here. White: peak of the map and half its height; orange: offset in force and 1 σ. Arrow keys: move it by 0.1 px, with Shift by 1 px. Delete: back to the offset found." });
    const title = tag("div", { class: "cw-map-title" }), section = tag("canvas", { class: "cw-section", title: "Sections of the map through its peak: along x (solid, blue) and along y (dashed, orange)" });
    const [down, across] = ["x", "y"].map((name) => tag("div", { class: `cw-map-axis cw-map-${name}`, "aria-hidden": "true" }));
    const card = tag("div", { class: "cw-map-card", "data-quadrant": String(q) }, title, down, canvas, across, section);
    root.append(card);
    return { q, canvas, title, section, card, axes: [[down, "x"], [across, "y"]] };
  });
  const send = (type, q, x, y) => model.send({ type, quadrant: q, x, y });
  const data = (q) => (model.get("maps") || [])[q];
  for (const { q, canvas } of cards) {
    let held = false, last = "";
    const point = (e, kind) => {
      const m = data(q);
      if (!m) return;
      const r = canvas.getBoundingClientRect(), n = m.trials.length, first = m.trials[0], step = m.trials[1] - first;
      const place = (v) => Math.round((first + (Math.max(0, Math.min(1, v)) * n - 0.5) * step) * 10) / 10;
      const y = place((e.clientX - r.left) / r.width), x = place((e.clientY - r.top) / r.height);
      if (kind === "move" && `${x} ${y}` === last) return;
      last = `${x} ${y}`;
      send(kind, q, x, y);
    };
    canvas.addEventListener("pointerdown", (e) => {
      if (e.button !== 0) return;
      held = true;
      canvas.setPointerCapture(e.pointerId);
      point(e, "set");
      canvas.focus({ preventScroll: true });
    });
    canvas.addEventListener("pointermove", (e) => { if (held) point(e, "move"); });
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => { held = false; });
    canvas.addEventListener("keydown", (e) => {
      const way = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[e.key];
      if (way) { const s = e.shiftKey ? 1 : 0.1; send("nudge", q, way[0] * s, way[1] * s); e.preventDefault(); e.stopPropagation(); }
      else if (e.key === "Delete" || e.key === "Backspace") { send("found", q, 0, 0); e.preventDefault(); }
    });
  }
  function draw() {
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    for (const { q, canvas, title, section, card, axes } of cards) {
      const m = data(q);
      card.classList.toggle("cw-absent", !m);
      if (!m) { title.textContent = `Q${q}`; continue; }
      title.textContent = m.title;
      canvas.setAttribute("aria-label", `Correlation map. ${m.title}`);
      const n = m.trials.length, w = canvas.clientWidth || 150;
      canvas.width = canvas.height = Math.round(w * ratio);
      const c = canvas.getContext("2d"), values = m.values.flat(), real = values.filter((v) => v !== null);
      const low = Math.min(...real), high = Math.max(...real), cell = canvas.width / n;
      for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) {
        const v = m.values[i][j];
        const k = v === null ? null : table[Math.max(0, Math.min(255, Math.round(((v - low) / (high - low || 1)) * 255)))];
        c.fillStyle = k ? `rgb(${k[0]},${k[1]},${k[2]})` : "#777";
        c.fillRect(Math.floor(j * cell), Math.floor(i * cell), Math.ceil(cell), Math.ceil(cell));
      }
      const first = m.trials[0], step = m.trials[1] - first, lastTrial = m.trials[n - 1], at = (v) => ((v - first) / step + 0.5) * cell;
      const cross = (x, y, colour, size) => {
        for (const [wide, ink] of [[4, "#000"], [2, colour]]) {
          c.strokeStyle = ink; c.lineWidth = wide * ratio; c.beginPath();
          c.moveTo(at(y) - size * ratio, at(x)); c.lineTo(at(y) + size * ratio, at(x));
          c.moveTo(at(y), at(x) - size * ratio); c.lineTo(at(y), at(x) + size * ratio); c.stroke();
        }
      };
      c.strokeStyle = "rgba(255,255,255,0.5)"; c.lineWidth = ratio; c.beginPath();
      c.moveTo(at(0), 0); c.lineTo(at(0), canvas.height); c.moveTo(0, at(0)); c.lineTo(canvas.width, at(0)); c.stroke();
      for (const [axis, name] of axes) axis.replaceChildren(...[number(first), `${name} (px)`, number(lastTrial)].map((text) => tag("span", {}, text)));
      const apart = lastTrial > 30 ? 20 : lastTrial > 4 ? 10 : 1;
      c.strokeStyle = "#fff"; c.lineWidth = ratio; c.beginPath();
      for (let v = Math.ceil(first / apart) * apart; v <= lastTrial; v += apart) {
        c.moveTo(0, at(v)); c.lineTo(4 * ratio, at(v)); c.moveTo(at(v), canvas.height); c.lineTo(at(v), canvas.height - 4 * ratio);
      }
      const sorted = [...real].sort((a, b) => a - b), half = (high + sorted[sorted.length >> 1]) / 2, above = (i, j) => (m.values[i]?.[j] ?? -Infinity) > half;
      if (m.peak && m.offset) for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) {
        if (i && above(i, j) !== above(i - 1, j)) { c.moveTo(j * cell, i * cell); c.lineTo((j + 1) * cell, i * cell); }
        if (j && above(i, j) !== above(i, j - 1)) { c.moveTo(j * cell, i * cell); c.lineTo(j * cell, (i + 1) * cell); }
      }
      c.stroke();
      if (m.peak) cross(m.peak[0], m.peak[1], "#fff", 7);
      if (m.offset) {
        cross(m.offset[0], m.offset[1], "#D55E00", 5);
        if (m.ellipse) {
          const [long, short, angle] = m.ellipse, reach = (v) => Math.max(2 * ratio, (v / step) * cell);
          c.strokeStyle = "#D55E00"; c.lineWidth = 1.5 * ratio; c.beginPath();
          c.ellipse(at(m.offset[1]), at(m.offset[0]), reach(long), reach(short), angle, 0, 7); c.stroke();
        }
      }
      section.width = Math.round((section.clientWidth || w) * ratio); section.height = Math.round(62 * ratio);
      const s = section.getContext("2d"), px = m.peak || [0, 0];
      const near = (v) => Math.max(0, Math.min(n - 1, Math.round((v - first) / step)));
      const [solid, dashed] = isDark(section) ? ["#56B4E9", "#F0A04B"] : ["#0072B2", "#C04F00"];
      s.font = `${11 * ratio}px system-ui, sans-serif`;
      s.fillStyle = solid; s.fillText("x —", 3 * ratio, 12 * ratio);
      s.fillStyle = dashed; s.textAlign = "right"; s.fillText("y ╌", section.width - 3 * ratio, 12 * ratio);
      const lines = [[m.values.map((row) => row[near(px[1])]), solid, []], [m.values[near(px[0])], dashed, [4 * ratio, 3 * ratio]]];
      for (const [line, colour, dash] of lines) {
        s.strokeStyle = colour; s.lineWidth = 1.5 * ratio; s.setLineDash(dash); s.beginPath();
        line.forEach((v, i) => { if (v !== null) s.lineTo((i + 0.5) * (section.width / n), section.height - 2 - ((v - low) / (high - low || 1)) * (section.height - 18 * ratio)); });
        s.stroke();
      }
    }
    root.dataset.drawn = String(Number(root.dataset.drawn || 0) + 1);
  }
  model.on("change:maps", draw);
  const watcher = new ResizeObserver(draw), theme = new MutationObserver(() => setTimeout(draw, 300));
  watcher.observe(root);
  theme.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-name", "data-jp-theme-light"] });
  draw();
  return () => { watcher.disconnect(); theme.disconnect(); model.off("change:maps", draw); };
}

export default { render };
