// The correlation maps of the groups: peak, offset in force, and offsets set by clicks and keys.

import { colourTable } from "./colormap.js";
import { contour, heights, scaleOf, ticks } from "./correlation.js";
import { contextOf, deviceRatio, element, isDark, onTheme, subscriptions } from "./dom.js";
import { signed } from "./numbers.js";

/** @import { CorrelationMap } from "./correlation.js" */
/** @import { Model, Point } from "./types" */
/** @typedef {{ maps: CorrelationMap[], groups: string[], places: Point[] }} Traits */
/**
 * @typedef {object} Card
 * @property {number} group
 * @property {HTMLElement} node
 * @property {HTMLElement} title
 * @property {HTMLButtonElement} enlarge
 * @property {HTMLCanvasElement} canvas
 * @property {HTMLCanvasElement} section
 * @property {HTMLElement} down axis
 * @property {HTMLElement} across axis
 */

const SECTION_HEIGHT = 62;
const OFFSET_COLOUR = "#D55E00";
const HINT =
  "Click or drag: set the offset here. White: peak of the map and half its height; " +
  "orange: offset in force and 1 σ. Arrow keys: move it by 0.1 px, with Shift by 1 px. " +
  "Delete: back to the offset found.";
const SECTIONS = "Sections of the map through its peak: along x (solid, blue) and along y (dashed, orange)";

/** @param {number} group @param {string} name @returns {Card} */
function makeCard(group, name) {
  const canvas = element("canvas", {
    class: "cw-map",
    tabindex: 0,
    role: "img",
    "aria-label": `Correlation map of ${name}`,
    title: HINT,
  });
  const title = element("div", { class: "cw-map-title" });
  const enlarge = element(
    "button",
    {
      type: "button",
      class: "cw-enlarge",
      title: `Show the map of ${name} large, with the CC at the cursor`,
      "aria-label": `enlarge the map of ${name}`,
    },
    "⤢",
  );
  const section = element("canvas", { class: "cw-section", title: SECTIONS });
  const axis = (/** @type {string} */ which) =>
    element("div", { class: `cw-map-axis cw-map-${which}`, "aria-hidden": "true" });
  const [down, across] = [axis("x"), axis("y")];
  const node = element(
    "div",
    { class: "cw-map-card", "data-quadrant": group },
    down,
    canvas,
    title,
    across,
    section,
    enlarge,
  );
  return { group, node, title, enlarge, canvas, section, down, across };
}

/** @param {Card} card @param {CorrelationMap} map @param {Uint32Array} table @param {number} ratio */
function drawMap({ canvas }, map, table, ratio) {
  const size = Math.round((canvas.clientWidth || 150) * ratio);
  canvas.width = size;
  canvas.height = size;
  const context = contextOf(canvas);
  const { low, high, half } = heights(map);
  const { first, last, cell, place, length } = scaleOf(map, size);
  map.values.forEach((cells, row) => {
    cells.forEach((value, column) => {
      const level = Math.round((((value ?? 0) - low) / (high - low || 1)) * 255);
      const word = table[Math.max(0, Math.min(255, level))];
      const [red, green, blue] = [word & 255, (word >> 8) & 255, (word >> 16) & 255];
      context.fillStyle = value === null ? "#777" : `rgb(${red},${green},${blue})`;
      const [x, y] = [Math.floor(column * cell), Math.floor(row * cell)];
      context.fillRect(x, y, Math.ceil(cell), Math.ceil(cell));
    });
  });
  /** @param {[Point, Point][]} lines @param {string} colour @param {number} width */
  const stroke = (lines, colour, width) => {
    context.strokeStyle = colour;
    context.lineWidth = width * ratio;
    context.beginPath();
    for (const [from, to] of lines) {
      context.moveTo(...from);
      context.lineTo(...to);
    }
    context.stroke();
  };
  const zero = place(0);
  stroke(
    [
      [
        [zero, 0],
        [zero, size],
      ],
      [
        [0, zero],
        [size, zero],
      ],
    ],
    "rgba(255,255,255,0.5)",
    1,
  );
  const tick = 4 * ratio;
  stroke(
    ticks(first, last).flatMap((shift) => {
      const at = place(shift);
      /** @type {[Point, Point][]} */
      const both = [
        [
          [0, at],
          [tick, at],
        ],
        [
          [at, size],
          [at, size - tick],
        ],
      ];
      return both;
    }),
    "#fff",
    1,
  );
  if (map.peak && map.offset) {
    const lines = contour(map, half).map(
      (line) => /** @type {[Point, Point]} */ (line.map(([x, y]) => [x * cell, y * cell])),
    );
    stroke(lines, "#fff", 1);
  }
  /** @param {Point} at shift @param {string} colour @param {number} arm */
  const cross = ([down, across], colour, arm) => {
    const [x, y, reach] = [place(across), place(down), arm * ratio];
    /** @type {[Point, Point][]} */
    const lines = [
      [
        [x - reach, y],
        [x + reach, y],
      ],
      [
        [x, y - reach],
        [x, y + reach],
      ],
    ];
    stroke(lines, "#000", 4);
    stroke(lines, colour, 2);
  };
  if (map.peak) cross(map.peak, "#fff", 7);
  if (!map.offset) return;
  cross(map.offset, OFFSET_COLOUR, 5);
  if (!map.ellipse) return;
  const [long, short, angle] = map.ellipse;
  const reach = (/** @type {number} */ shift) => Math.max(2 * ratio, length(shift));
  context.strokeStyle = OFFSET_COLOUR;
  context.lineWidth = 1.5 * ratio;
  context.beginPath();
  const [x, y] = [place(map.offset[1]), place(map.offset[0])];
  context.ellipse(x, y, reach(long), reach(short), angle, 0, 2 * Math.PI);
  context.stroke();
}

/** @param {Card} card @param {CorrelationMap} map @param {number} ratio */
function drawSections({ section, canvas }, map, ratio) {
  section.width = Math.round((section.clientWidth || canvas.clientWidth || 150) * ratio);
  section.height = Math.round(SECTION_HEIGHT * ratio);
  const context = contextOf(section);
  const { low, high } = heights(map);
  const { nearest } = scaleOf(map, section.width);
  const [down, across] = map.peak ?? [0, 0];
  const [solid, dashed] = isDark(section) ? ["#56B4E9", "#F0A04B"] : ["#0072B2", "#C04F00"];
  const step = section.width / map.trials.length;
  const [top, height] = [18 * ratio, section.height];
  context.font = `${11 * ratio}px system-ui, sans-serif`;
  context.fillStyle = solid;
  context.fillText("x —", 3 * ratio, 12 * ratio);
  context.fillStyle = dashed;
  context.textAlign = "right";
  context.fillText("y ╌", section.width - 3 * ratio, 12 * ratio);
  /** @param {(number | null)[]} values @param {string} colour @param {number[]} dash */
  const draw = (values, colour, dash) => {
    context.strokeStyle = colour;
    context.lineWidth = 1.5 * ratio;
    context.setLineDash(dash);
    context.beginPath();
    values.forEach((value, n) => {
      if (value === null) return;
      context.lineTo((n + 0.5) * step, height - 2 - ((value - low) / (high - low || 1)) * (height - top));
    });
    context.stroke();
  };
  draw(
    map.values.map((cells) => cells[nearest(across)]),
    solid,
    [],
  );
  draw(map.values[nearest(down)], dashed, [4 * ratio, 3 * ratio]);
}

/** @param {{ model: Model<Traits>, el: HTMLElement }} place */
function render({ model, el }) {
  const table = colourTable("viridis");
  const root = element("div", { class: "cw-maps" });
  el.append(root);
  /** @type {Card[]} */
  let cards = [];

  /** @param {string} type @param {number} quadrant @param {number} x @param {number} y */
  const send = (type, quadrant, x, y) => model.send({ type, quadrant, x, y });

  /** @param {Card} card */
  function listen({ group, canvas, enlarge }) {
    enlarge.addEventListener("click", () => send("enlarge", group, 0, 0));
    let held = false;
    let last = "";
    /** @param {PointerEvent} event @param {"set" | "move"} kind */
    const point = (event, kind) => {
      const map = model.get("maps")[group];
      if (!map) return;
      const box = canvas.getBoundingClientRect();
      const { shift } = scaleOf(map, box.width); // x to the bottom, y to the right: as the detector
      const [x, y] = [shift(event.clientY - box.top), shift(event.clientX - box.left)];
      if (kind === "move" && `${x} ${y}` === last) return;
      last = `${x} ${y}`;
      send(kind, group, x, y);
    };
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      held = true;
      canvas.setPointerCapture(event.pointerId);
      point(event, "set");
      canvas.focus({ preventScroll: true });
    });
    canvas.addEventListener("pointermove", (event) => {
      if (held) point(event, "move");
    });
    for (const end of /** @type {const} */ (["pointerup", "pointercancel"])) {
      canvas.addEventListener(end, () => {
        held = false;
      });
    }
    /** @type {Record<string, Point>} */
    const ways = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    canvas.addEventListener("keydown", (event) => {
      const way = ways[event.key];
      const step = event.shiftKey ? 1 : 0.1;
      if (way) send("nudge", group, way[0] * step, way[1] * step);
      else if (event.key === "Delete" || event.key === "Backspace") send("found", group, 0, 0);
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
  }

  function draw() {
    const ratio = deviceRatio();
    const maps = model.get("maps");
    const places = model.get("places");
    const columns = Math.max(2, ...places.map(([, column]) => column));
    root.style.setProperty("--columns", String(columns));
    root.classList.toggle("cw-many", columns > 2);
    root.hidden = maps.length === 0;
    cards.forEach((card, n) => {
      const [row, column] = places[n] ?? [];
      Object.assign(card.node.style, { gridRow: row ?? "auto", gridColumn: column ?? "auto" });
      const map = maps[n];
      if (!map) return;
      card.title.textContent = map.title;
      card.canvas.setAttribute("aria-label", `Correlation map. ${map.title}`);
      const ends = [map.trials[0], map.trials[map.trials.length - 1]].map(signed);
      for (const [axis, name] of /** @type {const} */ ([
        [card.down, "x"],
        [card.across, "y"],
      ])) {
        const texts = [ends[0], `${name} (px)`, ends[1]];
        axis.replaceChildren(...texts.map((text) => element("span", {}, text)));
      }
      drawMap(card, map, table, ratio);
      drawSections(card, map, ratio);
    });
    root.dataset.drawn = String(Number(root.dataset.drawn ?? 0) + 1); // for tests
  }

  function rebuild() {
    cards = model.get("groups").map((name, group) => makeCard(group, name));
    root.replaceChildren(...cards.map(({ node }) => node));
    for (const card of cards) listen(card);
    draw();
  }

  const traits = subscriptions(model);
  traits.when(["maps", "places"], draw);
  traits.when(["groups"], rebuild);
  const watcher = new ResizeObserver(draw);
  watcher.observe(root);
  const endTheme = onTheme(draw);
  rebuild();
  return () => {
    watcher.disconnect();
    endTheme();
    traits.end();
  };
}

export default { render };
