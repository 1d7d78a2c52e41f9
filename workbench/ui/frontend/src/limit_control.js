// A limit: number box, slider, and the histogram of its image with the limit to drag.

import { contextOf, deviceRatio, element, isDark, onTheme, subscriptions } from "./dom.js";
import { axis, bars, plateaus, refusal, removedAt, rounded, slopeAt } from "./histogram.js";

/** @import { Model } from "./types" */
/**
 * @typedef {object} Traits
 * @property {number} value
 * @property {number} min
 * @property {number} max
 * @property {number} usual_max end of the axis that the image needs
 * @property {number | null} highest value of the image
 * @property {number} step
 * @property {string} label
 * @property {string} unit
 * @property {string} hint
 * @property {"above" | "below"} masks
 * @property {number[]} counts
 * @property {[number, number]} counts_range
 * @property {number[]} removed
 * @property {number} pixels
 * @property {string} without said in place of the histogram
 * @property {string} note
 * @property {string[]} drives
 */

const SEND_EVERY = 120; // ms between messages to the kernel while a limit moves
const INSET = 8; // half of a slider's thumb: histogram and slider share one axis
const HEIGHT = 72;
const GOOD = "#0072B2";
const MASKED = "#D55E00";
const PLATEAU = "#009E73";
const DRAG = "Histogram (logarithmic); drag the line to set the limit";
const EXPLAINED =
  "Histogram of the image (logarithmic); drag the line to set the limit. Curve: pixels removed " +
  "if the limit were there. Green: a plateau, where ±10 % changes less than 0.05 % of the pixels";

/**
 * A canvas with a picture that is drawn once and copied often.
 * @param {number} width @param {number} ratio @param {(context: CanvasRenderingContext2D) => void} draw
 */
function layer(width, ratio, draw) {
  const canvas = element("canvas", { width: Math.max(1, width * ratio), height: HEIGHT * ratio });
  const context = contextOf(canvas);
  context.scale(ratio, ratio);
  draw(context);
  return canvas;
}

/**
 * Sends a value to the picture at once, and to the kernel a few times a second.
 * @param {Model<Traits>} model
 */
function sender(model) {
  const [reference, trait] = model.get("drives");
  /** @type {Model<Record<string, unknown>> | null} */
  let driven = null;
  let timer = 0;
  let sent = 0;
  if (reference) {
    model.widget_manager.get_model(reference.slice("IPY_MODEL_".length)).then((other) => {
      driven = other;
    });
  }
  const send = () => {
    clearTimeout(timer);
    timer = 0;
    sent = performance.now();
    model.save_changes();
    driven?.save_changes();
  };
  return {
    soon() {
      timer ||= setTimeout(send, Math.max(0, sent + SEND_EVERY - performance.now()));
    },
    drive: () => driven?.set(trait, model.get("value")),
    waits: () => timer !== 0,
    end: () => {
      if (timer) send();
    },
  };
}

/** @param {{ model: Model<Traits>, el: HTMLElement }} place */
function render({ model, el }) {
  const kernel = sender(model);
  let own = model.get("value"); // last set here
  const round = (/** @type {number} */ value) => rounded(value, model.get("step"));
  const set = (/** @type {number} */ wanted) => {
    // an upper limit of 0 is none
    const value = Math.max(masks === "above" ? model.get("step") : 0, wanted);
    if (!Number.isFinite(value) || value === model.get("value")) return;
    own = value;
    model.set("value", value);
    kernel.soon();
  };

  // ---- controls ------------------------------------------------------------------------------
  const [masks, unit] = [model.get("masks"), model.get("unit")];
  const name = `${model.get("label")}, ${unit}`;
  const title = model.get("hint");
  /** Take the number that was typed, or say why not. */
  const typed = () => {
    const value = box.value === "" ? Number.NaN : Number(box.value);
    const limit = { masks, step: model.get("step"), highest: model.get("highest"), unit };
    const reason = refusal(value, limit);
    refuse(reason && `${reason} ${model.get("value")} ${unit} stays.`);
    if (reason) return;
    set(value);
    fitAxis();
    showValue();
  };
  const refuse = (/** @type {string} */ reason) => {
    refused.textContent = reason;
    box.setAttribute("aria-invalid", String(Boolean(reason)));
  };
  /** The axis reaches as far as the image and the limit need. */
  const fitAxis = () => {
    const max = Math.max(model.get("usual_max"), model.get("value"));
    if (max !== model.get("max")) model.set("max", max);
  };
  const box = element("input", {
    type: "number",
    min: 0,
    "aria-label": `${name} (number)`,
    title,
    onchange: typed,
    onkeydown: (event) => {
      if (event.key === "Enter") typed();
      else if (event.key === "Escape") {
        refuse("");
        showValue(true);
      }
    },
  });
  const slider = element("input", {
    type: "range",
    "aria-label": name,
    title,
    oninput: () => set(round(Number(slider.value))),
    onkeydown: (event) => {
      const way = { ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1 }[
        /** @type {string} */ (event.key)
      ];
      if (!way) return;
      event.preventDefault();
      const by = way * model.get("step") * (event.shiftKey ? 10 : 1);
      set(Math.max(model.get("min"), round(model.get("value") + by)));
    },
  });
  const canvas = element("canvas", { class: "cw-histogram", height: HEIGHT });
  const marks = [element("span"), element("span"), element("span")];
  const refused = element("div", { class: "cw-limit-refused", role: "alert" });
  const note = element("div", { class: "cw-limit-note", role: "status", "aria-live": "off" });
  const root = element(
    "div",
    { class: "cw-limit", "data-lm-suppress-shortcuts": "true" },
    element("label", { class: "cw-limit-head" }, element("span", {}, name), box),
    refused,
    canvas,
    slider,
    element("div", { class: "cw-scale" }, ...marks),
    note,
  );
  el.append(root);

  // ---- histogram -----------------------------------------------------------------------------
  const axisOf = (/** @type {number} */ width) => axis(model.get("min"), model.get("max"), width, INSET);
  /** Bars in both colours, and what lies over them, for one width and histogram.
   * @type {{ ratio: number, width: number, ink: string, good: HTMLCanvasElement | null,
   *   masked: HTMLCanvasElement | null, over: HTMLCanvasElement | null } | null} */
  let drawn = null;

  /** @param {CanvasRenderingContext2D} context @param {number} width @param {string} ink */
  function drawCurve(context, width, ink) {
    const { place } = axisOf(width);
    const [removed, range, pixels] = [model.get("removed"), model.get("counts_range"), model.get("pixels")];
    context.rect(INSET, 0, width - 2 * INSET, HEIGHT);
    context.clip();
    context.fillStyle = PLATEAU;
    for (const [from, to] of plateaus(removed, range, pixels)) {
      context.fillRect(place(from), HEIGHT - 4, Math.max(1, place(to) - place(from) + 0.5), 4);
    }
    const step = (range[1] - range[0]) / (removed.length - 1);
    const top = Math.log1p(pixels);
    const path = new Path2D();
    removed.forEach((count, n) => {
      const x = place(range[0] + n * step);
      const y = HEIGHT - 5 - (Math.log1p(count) / top) * (HEIGHT - 10);
      if (n) path.lineTo(x, y);
      else path.moveTo(x, y);
    });
    context.strokeStyle = isDark(canvas) ? "rgba(0,0,0,0.6)" : "rgba(255,255,255,0.8)";
    context.lineWidth = 3;
    context.stroke(path);
    context.strokeStyle = ink;
    context.lineWidth = 1.3;
    context.stroke(path);
  }

  function drawBars() {
    const ratio = deviceRatio();
    const width = canvas.clientWidth;
    if (!width) return;
    canvas.width = width * ratio;
    canvas.height = HEIGHT * ratio;
    canvas.title = model.get("removed").length > 1 ? EXPLAINED : DRAG;
    const ink = getComputedStyle(root).color;
    const [counts, range] = [model.get("counts"), model.get("counts_range")];
    const inColour = (/** @type {string} */ colour) =>
      layer(width, ratio, (context) => {
        const seen = /** @type {const} */ ([INSET, width - INSET]);
        context.fillStyle = colour;
        for (const bar of bars(counts, range, axisOf(width).place, seen, HEIGHT - 6)) {
          context.fillRect(bar.left, HEIGHT - bar.height, bar.width, bar.height);
        }
      });
    drawn = {
      ratio,
      width,
      ink,
      good: counts.length ? inColour(GOOD) : null,
      masked: counts.length ? inColour(MASKED) : null,
      over:
        model.get("removed").length > 1
          ? layer(width, ratio, (context) => drawCurve(context, width, ink))
          : null,
    };
    drawLimit();
  }

  function drawLimit() {
    if (!drawn) return;
    const { ratio, width, ink, good, masked, over } = drawn;
    const context = contextOf(canvas);
    const at = Math.max(INSET, Math.min(width - INSET, axisOf(width).place(model.get("value"))));
    const [from, to] = masks === "above" ? [at, width] : [0, at];
    /** @param {HTMLCanvasElement} picture @param {number} left @param {number} right */
    const copy = (picture, left, right) => {
      if (right <= left) return;
      const wide = right - left;
      context.drawImage(picture, left * ratio, 0, wide * ratio, HEIGHT * ratio, left, 0, wide, HEIGHT);
    };
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, HEIGHT);
    if (!good || !masked) {
      context.fillStyle = ink;
      context.font = "12px sans-serif";
      context.fillText(model.get("without"), INSET, HEIGHT / 2);
      return;
    }
    const [first, last] = [Math.max(INSET, from), Math.min(width - INSET, to)];
    context.fillStyle = "rgba(213, 94, 0, 0.22)";
    context.fillRect(first, 0, Math.max(0, last - first), HEIGHT);
    copy(masked, from, to);
    copy(good, 0, from);
    copy(good, to, width);
    if (over) context.drawImage(over, 0, 0, width, HEIGHT);
    context.fillStyle = ink;
    context.fillRect(at - 1, 0, 2, HEIGHT);
    context.beginPath();
    context.moveTo(at - 5, 0);
    context.lineTo(at + 5, 0);
    context.lineTo(at, 7);
    context.fill();
  }

  function showRange() {
    const [min, max, step] = [model.get("min"), model.get("max"), model.get("step")];
    Object.assign(slider, { min, max, step });
    box.step = String(step);
    [min, (min + max) / 2, max].forEach((value, n) => {
      marks[n].textContent = String(Number(value.toPrecision(4)));
    });
    showValue();
    drawBars();
  }

  /** @param {boolean} [again] show it in the box even if another number was refused there */
  function showValue(again = false) {
    const value = model.get("value");
    const keep = !again && refused.textContent; // a refused number stays until it is mended
    if (Number(slider.value) !== value) slider.value = String(value);
    if (!keep && (Number(box.value) !== value || box.value === "")) box.value = String(value);
    drawLimit();
  }

  // ---- mouse ---------------------------------------------------------------------------------
  let held = false;
  const valueAt = (/** @type {PointerEvent} */ event) => {
    const { left, width } = canvas.getBoundingClientRect();
    return round(axisOf(width).value(event.clientX - left));
  };
  const showNote = () => {
    note.textContent = model.get("note");
  };
  /** What a limit under the mouse would do. @param {PointerEvent} event */
  function explain(event) {
    const [removed, range] = [model.get("removed"), model.get("counts_range")];
    if (removed.length < 2) return;
    const limit = valueAt(event);
    const count = removedAt(removed, range, limit);
    const percent = ((100 * count) / model.get("pixels")).toFixed(2);
    const slope = Number(slopeAt(removed, range, limit).toPrecision(2));
    note.textContent = `limit at ${limit}: removes ${Math.round(count)} (${percent} %), ${slope} pixels per ${unit}`;
  }
  canvas.addEventListener("pointerdown", (event) => {
    held = true;
    canvas.setPointerCapture(event.pointerId);
    set(valueAt(event));
  });
  canvas.addEventListener("pointermove", (event) => {
    if (held) set(valueAt(event));
    explain(event);
  });
  canvas.addEventListener("pointerleave", showNote);
  canvas.addEventListener("pointerup", () => {
    held = false;
  });

  // ---- following the model -------------------------------------------------------------------
  const traits = subscriptions(model);
  traits.when(["value"], () => {
    // the kernel's answer, by which other pages follow, is older than what is still to be sent
    if (kernel.waits() && model.get("value") !== own) model.set("value", own);
    kernel.drive();
    refuse("");
    if (!held && !slider.matches(":active")) fitAxis();
    showValue();
  });
  traits.when(["min", "max", "step"], showRange);
  traits.when(["counts", "counts_range", "removed", "without"], drawBars);
  traits.when(["note"], showNote);
  const watcher = new ResizeObserver(drawBars);
  watcher.observe(canvas);
  const endTheme = onTheme(drawBars); // the line has the theme's colour of text
  showRange();
  showNote();
  return () => {
    kernel.end();
    watcher.disconnect();
    endTheme();
    traits.end();
  };
}

export default { render };
