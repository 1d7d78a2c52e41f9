// A threshold: number box, slider, and the histogram of its image with the limit to drag.

function node(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

function render({ model, el }) {
  const get = (name) => model.get(name);
  const round = (v) => Number((Math.round(v / get("step")) * get("step")).toPrecision(10));
  const set = (value) => {
    if (!Number.isFinite(value) || value === get("value")) return;
    if (value > get("max")) model.set("max", value);
    model.set("value", Math.max(0, value));
    model.save_changes();
  };
  const name = `${get("label")}, ${get("unit")}`;
  const box = node("input", { type: "number", min: 0, "aria-label": `${name} (number)`, title: get("hint"), onchange: () => set(Number(box.value)) });
  const slider = node("input", { type: "range", "aria-label": name, title: get("hint"), oninput: () => set(round(Number(slider.value))) });
  slider.addEventListener("keydown", (e) => {
    const way = { ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1 }[e.key];
    if (!way) return;
    e.preventDefault();
    set(Math.max(get("min"), round(get("value") + way * get("step") * (e.shiftKey ? 10 : 1))));
  });
  const canvas = node("canvas", { class: "cw-histogram", height: 64, title: "Histogram of the image (logarithmic); drag the line to set the limit" });
  const scale = node("div", { class: "cw-scale" }, node("span"), node("span"), node("span"));
  el.append(node("div", { class: "cw-limit" },
    node("label", { class: "cw-limit-head" }, node("span", {}, name), box), canvas, slider, scale));

  const inset = 8; // half of a slider's thumb: histogram and slider share one axis
  const x = (v, w) => inset + ((v - get("min")) / (get("max") - get("min"))) * (w - 2 * inset);
  function draw() {
    const ratio = Math.min(2, window.devicePixelRatio || 1), w = canvas.clientWidth, h = 64;
    if (!w) return;
    canvas.width = w * ratio; canvas.height = h * ratio;
    const c = canvas.getContext("2d"), style = getComputedStyle(canvas);
    c.scale(ratio, ratio);
    const counts = get("counts"), [low, high] = get("counts_range");
    const at = Math.max(inset, Math.min(w - inset, x(get("value"), w)));
    const [from, to] = get("masks") === "above" ? [at, w - inset] : [inset, at];
    c.fillStyle = "rgba(213, 94, 0, 0.22)"; c.fillRect(from, 0, Math.max(0, to - from), h);
    if (counts.length) {
      const top = Math.log1p(Math.max(...counts)) || 1;
      for (let i = 0; i < counts.length; i++) {
        if (!counts[i]) continue;
        const a = x(low + (i * (high - low)) / counts.length, w), b = x(low + ((i + 1) * (high - low)) / counts.length, w);
        if (b < inset || a > w - inset) continue;
        const tall = (Math.log1p(counts[i]) / top) * (h - 6), mid = (a + b) / 2;
        c.fillStyle = mid >= from && mid <= to ? "#D55E00" : "#0072B2";
        c.fillRect(Math.max(inset, a), h - tall, Math.max(0.7, Math.min(w - inset, b) - a), tall);
      }
    } else {
      c.fillStyle = style.color; c.font = "12px sans-serif"; c.fillText("histogram follows when there is an image", inset, h / 2);
    }
    c.fillStyle = style.color; c.fillRect(at - 1, 0, 2, h);
    c.beginPath(); c.moveTo(at - 5, 0); c.lineTo(at + 5, 0); c.lineTo(at, 7); c.fill();
  }
  function show() {
    const { min, max, step } = { min: get("min"), max: get("max"), step: get("step") };
    slider.min = min; slider.max = max; slider.step = step; box.step = step;
    slider.value = get("value");
    if (document.activeElement !== box || Number(box.value) !== get("value")) box.value = get("value");
    [min, (min + max) / 2, max].forEach((v, i) => { scale.children[i].textContent = String(Number(v.toPrecision(4))); });
    draw();
  }
  let held = false;
  const drag = (e) => {
    const r = canvas.getBoundingClientRect();
    const v = get("min") + ((e.clientX - r.left - inset) / (r.width - 2 * inset)) * (get("max") - get("min"));
    set(round(Math.max(get("min"), Math.min(get("max"), v))));
  };
  canvas.addEventListener("pointerdown", (e) => { held = true; canvas.setPointerCapture(e.pointerId); drag(e); });
  canvas.addEventListener("pointermove", (e) => { if (held) drag(e); });
  canvas.addEventListener("pointerup", () => { held = false; });
  const changes = ["value", "min", "max", "step", "counts", "counts_range"].map((n) => `change:${n}`);
  changes.forEach((n) => model.on(n, show));
  const watcher = new ResizeObserver(draw);
  watcher.observe(canvas);
  show();
  return () => { watcher.disconnect(); changes.forEach((n) => model.off(n, show)); };
}

export default { render };
