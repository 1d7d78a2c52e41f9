// A threshold: number box, slider, and the histogram of its image with the limit to drag.

const SEND_EVERY = 120; // ms between messages to the kernel while a limit moves
const INSET = 8; // half of a slider's thumb: histogram and slider share one axis
const HIGH = 72;
const PLATEAU = 0.0005; // part of the pixels that ±10 % of the limit changes at most

function node(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

/** Bars of a histogram in one colour, drawn once. */
function bars(counts, [low, high], x, wide, ratio, colour) {
  const canvas = node("canvas", { width: Math.max(1, wide * ratio), height: HIGH * ratio }), c = canvas.getContext("2d");
  const top = Math.log1p(counts.reduce((a, b) => Math.max(a, b), 0)) || 1, step = (high - low) / counts.length;
  c.scale(ratio, ratio);
  c.fillStyle = colour;
  counts.forEach((count, i) => {
    const a = x(low + i * step, wide), b = x(low + (i + 1) * step, wide);
    if (!count || b < INSET || a > wide - INSET) return;
    const tall = (Math.log1p(count) / top) * (HIGH - 6);
    c.fillRect(Math.max(INSET, a), HIGH - tall, Math.max(0.7, Math.min(wide - INSET, b) - a), tall);
  });
  return canvas;
}

/** Pixels removed by a limit, from the values at the edges of the histogram. */
function removedAt(removed, [low, high], limit) {
  const at = Math.max(0, Math.min(removed.length - 1, ((limit - low) / (high - low)) * (removed.length - 1)));
  const i = Math.min(removed.length - 2, Math.floor(at));
  return removed[i] + (at - i) * (removed[i + 1] - removed[i]);
}
/** Curve of removed pixels (logarithmic), and green below where the exact limit does not matter. */
function curve(c, removed, range, pixels, x, wide, ink) {
  const step = (range[1] - range[0]) / (removed.length - 1), top = Math.log1p(pixels);
  c.fillStyle = "#009E73";
  removed.forEach((_, i) => {
    const limit = range[0] + (i + 0.5) * step;
    if (i === removed.length - 1 || 1.1 * limit > range[1]) return;
    const change = Math.abs(removedAt(removed, range, 1.1 * limit) - removedAt(removed, range, 0.9 * limit));
    if (change <= PLATEAU * pixels) c.fillRect(x(limit - step / 2, wide), HIGH - 4, Math.max(1, x(limit + step / 2, wide) - x(limit - step / 2, wide) + 0.5), 4);
  });
  const path = new Path2D();
  removed.forEach((n, i) => {
    const at = x(range[0] + i * step, wide), y = HIGH - 5 - (Math.log1p(n) / top) * (HIGH - 10);
    i ? path.lineTo(at, y) : path.moveTo(at, y);
  });
  c.strokeStyle = "rgba(255,255,255,0.8)"; c.lineWidth = 3; c.stroke(path);
  c.strokeStyle = ink; c.lineWidth = 1.3; c.stroke(path);
}

function render({ model, el }) {
  const get = (name) => model.get(name);
  const round = (v) => Number((Math.round(v / get("step")) * get("step")).toPrecision(10));

  // ---- to the picture at once, to the kernel a few times a second ----------------------------
  let driven = null, timer = 0, sent = 0;
  const [reference, trait] = get("drives");
  if (reference) model.widget_manager.get_model(reference.slice("IPY_MODEL_".length)).then((found) => { driven = found; });
  const send = () => {
    clearTimeout(timer);
    timer = 0; sent = performance.now();
    model.save_changes();
    driven?.save_changes();
  };
  const set = (wanted) => { // an upper limit of 0 is none
    const value = Math.max(get("masks") === "above" ? get("step") : 0, wanted);
    if (!Number.isFinite(value) || value === get("value")) return;
    if (value > get("max")) model.set("max", value);
    model.set("value", value);
    timer ||= setTimeout(send, Math.max(0, sent + SEND_EVERY - performance.now()));
  };
  const drive = () => driven?.set(trait, get("value"));

  // ---- controls ------------------------------------------------------------------------------
  const name = `${get("label")}, ${get("unit")}`;
  const box = node("input", { type: "number", min: 0, "aria-label": `${name} (number)`, title: get("hint"), onchange: () => typed(),
    onkeydown: (e) => { if (e.key === "Enter") { e.stopPropagation(); typed(); } } }); // JupyterLab takes Enter otherwise
  const typed = () => { set(box.value === "" ? NaN : Number(box.value)); showValue(); };
  const slider = node("input", { type: "range", "aria-label": name, title: get("hint"), oninput: () => set(round(Number(slider.value))) });
  slider.addEventListener("keydown", (e) => {
    const way = { ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1 }[e.key];
    if (!way) return;
    e.preventDefault();
    set(Math.max(get("min"), round(get("value") + way * get("step") * (e.shiftKey ? 10 : 1))));
  });
  const canvas = node("canvas", { class: "cw-histogram", height: HIGH, title: "Histogram of the image (logarithmic); drag the line to set the limit. Curve: pixels removed if the limit were there. Green: a plateau, where ±10 % changes less than 0.05 % of the pixels" });
  const scale = node("div", { class: "cw-scale" }, node("span"), node("span"), node("span"));
  const note = node("div", { class: "cw-limit-note", role: "status", "aria-live": "off" });
  const root = node("div", { class: "cw-limit", "data-lm-suppress-shortcuts": "true" }, node("label", { class: "cw-limit-head" }, node("span", {}, name), box), canvas, slider, scale, note);
  el.append(root);

  // ---- histogram -----------------------------------------------------------------------------
  const x = (v, w) => INSET + ((v - get("min")) / (get("max") - get("min"))) * (w - 2 * INSET);
  let drawn = null; // bars in both colours, for one width and histogram
  function drawBars() {
    const ratio = Math.min(2, window.devicePixelRatio || 1), wide = canvas.clientWidth;
    if (!wide) return;
    canvas.width = wide * ratio; canvas.height = HIGH * ratio;
    const both = get("counts").length && ["#0072B2", "#D55E00"].map((c) => bars(get("counts"), get("counts_range"), x, wide, ratio, c));
    const ink = getComputedStyle(root).color, removed = get("removed");
    let over = null;
    if (removed.length > 1) {
      over = node("canvas", { width: wide * ratio, height: HIGH * ratio });
      const c = over.getContext("2d");
      c.scale(ratio, ratio);
      c.beginPath(); c.rect(INSET, 0, wide - 2 * INSET, HIGH); c.clip();
      curve(c, removed, get("counts_range"), get("pixels"), x, wide, ink);
    }
    drawn = { ratio, wide, both, ink, over };
    drawLimit();
  }
  function drawLimit() {
    if (!drawn) return;
    const { ratio, wide, both, ink, over } = drawn, c = canvas.getContext("2d");
    const at = Math.max(INSET, Math.min(wide - INSET, x(get("value"), wide)));
    const [from, to] = get("masks") === "above" ? [at, wide] : [0, at];
    const part = (picture, a, b) => b > a && c.drawImage(picture, a * ratio, 0, (b - a) * ratio, HIGH * ratio, a, 0, b - a, HIGH);
    c.setTransform(ratio, 0, 0, ratio, 0, 0);
    c.clearRect(0, 0, wide, HIGH);
    const first = Math.max(INSET, from), last = Math.min(wide - INSET, to);
    c.fillStyle = "rgba(213, 94, 0, 0.22)"; c.fillRect(first, 0, Math.max(0, last - first), HIGH);
    if (both) {
      part(both[1], from, to);
      part(both[0], 0, from); part(both[0], to, wide);
      if (over) c.drawImage(over, 0, 0, wide, HIGH);
    } else {
      c.fillStyle = ink; c.font = "12px sans-serif"; c.fillText("histogram follows when there is an image", INSET, HIGH / 2);
    }
    c.fillStyle = ink; c.fillRect(at - 1, 0, 2, HIGH);
    c.beginPath(); c.moveTo(at - 5, 0); c.lineTo(at + 5, 0); c.lineTo(at, 7); c.fill();
  }
  function showRange() {
    const [min, max, step] = ["min", "max", "step"].map(get);
    Object.assign(slider, { min, max, step });
    box.step = step;
    [min, (min + max) / 2, max].forEach((v, i) => { scale.children[i].textContent = String(Number(v.toPrecision(4))); });
    showValue();
    drawBars();
  }
  function showValue() {
    const value = get("value");
    if (Number(slider.value) !== value) slider.value = value;
    if (Number(box.value) !== value || box.value === "") box.value = value;
    drawLimit();
  }
  let held = false;
  const valueAt = (e) => {
    const r = canvas.getBoundingClientRect();
    const v = get("min") + ((e.clientX - r.left - INSET) / (r.width - 2 * INSET)) * (get("max") - get("min"));
    return round(Math.max(get("min"), Math.min(get("max"), v)));
  };
  const drag = (e) => set(valueAt(e));
  const showNote = () => { note.textContent = get("note"); };
  /** What a limit under the mouse would do: pixels removed, and the slope. */
  function tell(e) {
    const removed = get("removed"), range = get("counts_range"), limit = valueAt(e);
    if (removed.length < 2) return;
    const step = (range[1] - range[0]) / (removed.length - 1), n = removedAt(removed, range, limit);
    const slope = Math.abs(removedAt(removed, range, limit + step) - removedAt(removed, range, limit - step)) / (2 * step);
    note.textContent = `limit at ${limit}: removes ${Math.round(n)} (${((100 * n) / get("pixels")).toFixed(2)} %), ${Number(slope.toPrecision(2))} pixels per ADU`;
  }
  canvas.addEventListener("pointerdown", (e) => { held = true; canvas.setPointerCapture(e.pointerId); drag(e); });
  canvas.addEventListener("pointermove", (e) => { if (held) drag(e); tell(e); });
  canvas.addEventListener("pointerleave", showNote);
  canvas.addEventListener("pointerup", () => { held = false; });

  // ---- wiring --------------------------------------------------------------------------------
  const off = [];
  const when = (names, act) => names.forEach((n) => { model.on(`change:${n}`, act); off.push(() => model.off(`change:${n}`, act)); });
  when(["value"], () => { drive(); showValue(); });
  when(["min", "max", "step"], showRange);
  when(["counts", "counts_range", "removed"], drawBars);
  when(["note"], showNote);
  const watcher = new ResizeObserver(drawBars);
  watcher.observe(canvas);
  const themes = new MutationObserver(drawBars); // the line has the theme's colour of text
  themes.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-name"] });
  showRange(); showNote();
  return () => { if (timer) send(); watcher.disconnect(); themes.disconnect(); off.forEach((f) => f()); };
}

export default { render };
