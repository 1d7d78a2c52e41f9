// The detector on canvas: which part of which layout is seen, and when what is drawn again.

import { arranged, carried, fitted, panned, toMm, toScreen, zoomed } from "./camera.js";
import { colourTable, percentiles } from "./colormap.js";
import { Detector } from "./detector.js";
import { deviceRatio, element, subscriptions } from "./dom.js";
import { listen } from "./input.js";
import { LOW_GAIN_PREFIX, limitOf } from "./mask.js";
import { drawOverlay } from "./overlay.js";
import { readOut } from "./readout.js";
import { Screen } from "./screen.js";
import {
  ALONE,
  BRIGHT_AVERAGE,
  BRIGHT_RUNS,
  EVENT,
  MASK_TILE,
  makeTile,
  resizeTile,
  showScale,
  tileChoices,
} from "./tiles.js";
import { makeHelp, makeToolbar } from "./toolbar.js";

/** @import { Store } from "./store.js" */
/** @import { Painter } from "./screen.js" */
/** @import { Box, Model, Point, Shape, ViewTraits } from "./types" */

/**
 * A picture.
 * @typedef {object} Tile
 * @property {string} name of an image or run, or "mask"
 * @property {string} full title
 * @property {HTMLInputElement[]} limits
 * @property {HTMLElement} unit
 * @property {HTMLCanvasElement} canvas pixels
 * @property {HTMLCanvasElement} lines what lies over them
 * @property {HTMLCanvasElement} bar
 * @property {HTMLElement} title
 * @property {HTMLElement} frame
 * @property {HTMLElement} node
 * @property {Painter} painter
 * @property {Screen} screen its screen pixels, shared by all tiles of its size
 */
/**
 * A place on a picture: in screen pixels, as row and column of the layout, and in the lab.
 * @typedef {{ tile: Tile, x: number, y: number, row: number, col: number, mm: Point, byKeys?: boolean }} Place
 */

/** What has to be drawn again, each with all before it but the lines. */
const LEVEL = { lines: 1, mask: 2, colour: 3, pool: 4 };
const GAP = 6; // between pictures, CSS pixels
const HEAD = 28; // of a picture
const STATUS = 56; // of the line below the pictures
const CONTROLS = 190; // of what should be seen below that, where the controls do not stand beside
const SMALLEST = 280; // height for the pictures
const SMALLEST_ABOVE = 190; // where something stands under them
const SETTLE_MS = 120; // a part that moves is drawn coarsely until it has rested so long
const BLINK_MS = 500;
/** @type {Record<string, string>} */
const NAMES = { assembled: "before", corrected: "after" };
/** @type {import("./types").PixelMap} */
const NOTHING = { rows: 1, cols: 1, index: new Int32Array(0) };
const EMPTY = "Images appear here when runs are averaged or image files are opened.";

export class View {
  /** @type {Tile[]} */
  tiles = [];
  /** Tile whose screen pixels `box` is of: the largest. @type {Tile | undefined} */
  #main;
  /** Part that is seen; null: all. @type {Box | null} */
  box = null;
  /** Shape that is being drawn. @type {Shape | null} */
  drawing = null;
  /** Shape as it is dragged. @type {Shape | null} */
  bending = null;
  /** Where the mouse is. @type {Place | null} */
  hover = null;
  #level = 0;
  #overlay = false;
  #frame = 0;
  #waiting = false;
  #settle = 0;
  /** Blinking shows the second of two. */
  #phase = false;
  /** @type {boolean | null} */
  #wasEmpty = null;
  /** Layout that `box` belongs to. */
  #seenLayout = "";
  /** @type {ResizeObserver} */
  #watcher;
  /** What stands under the pictures. @type {Element | null} */
  #under = null;
  #size = "";
  #subscriptions;
  sheet = makeHelp();
  #stage = element("div", { class: "cw-stage" });
  #status = element("div", { class: "cw-status", role: "status", "aria-live": "off" });

  /**
   * @param {Store} store
   * @param {Model<ViewTraits>} model
   * @param {HTMLElement} el
   */
  constructor(store, model, el) {
    this.store = store;
    this.model = model;
    this.screens = { small: new Screen(store), large: new Screen(store) };
    this.#subscriptions = subscriptions(model);
    this.root = element(
      "div",
      { class: "cw-view cw-empty" },
      element("div", { class: "cw-hint" }, EMPTY),
      makeToolbar(this),
      this.#stage,
      this.#status,
      this.sheet,
    );
    el.append(this.root);
    const arrived = this.#arrived.bind(this);
    store.listeners.add(arrived);
    this.#follow();
    const blinker = setInterval(() => this.#blink(), BLINK_MS);
    const check = () => this.#check();
    const watcher = new ResizeObserver(check);
    this.#watcher = watcher;
    watcher.observe(this.#stage);
    window.addEventListener("resize", check);
    this.#seenLayout = this.layout();
    this.#rebuild();
    this.readOut();
    this.end = () => {
      watcher.disconnect();
      window.removeEventListener("resize", check);
      clearInterval(blinker);
      clearTimeout(this.#settle);
      store.listeners.delete(arrived);
      this.#subscriptions.end();
    };
  }

  // ---- traits ------------------------------------------------------------------------------
  /** @param {Partial<ViewTraits>} changes */
  put(changes) {
    for (const [name, value] of Object.entries(changes)) this.model.set(name, value);
    this.model.save_changes();
  }

  /** @param {string[]} traits @param {() => void} act */
  when(traits, act) {
    this.#subscriptions.when(traits, act);
  }

  #follow() {
    const { model } = this;
    const lines = () => {
      this.needLines();
      this.readOut();
    };
    const limits = model
      .get("limit_rules")
      .flatMap(({ limit }) => (typeof limit === "string" ? [limit, LOW_GAIN_PREFIX + limit] : []));
    this.when([...limits, "two_gains", "keepers", "rules", "show_mask", "mask_opacity"], () =>
      this.#need(LEVEL.mask),
    );
    this.when(["colormap", "log", "limits", "names", "units"], () => this.#need(LEVEL.colour));
    this.when(["arrangement", "blink"], () => {
      this.#phase = false;
      this.#layoutChanged();
      this.#resize();
      this.#tellWindow();
    });
    this.when(
      [
        "show_rings",
        "rings_by_group",
        "show_outlines",
        "rings",
        "group_offsets_px",
        "centre_mm",
        "peaks",
        "shapes",
        "selected",
        "can_draw",
        "bit_names",
        "distance_mm",
        "wavelength",
      ],
      lines,
    );
    this.when(["shapes"], () => {
      this.bending = null;
    });
    this.when(["tiles"], () => this.#rebuild());
    this.when(["runs"], () => {
      if (model.get("tiles") === BRIGHT_RUNS) this.#rebuild();
    });
    this.when(["event"], () => {
      for (const tile of this.tiles) if (tile.name === EVENT) tile.full = this.titleOf(EVENT);
      this.#need(LEVEL.colour);
    });
    this.when(["height"], () => this.#resize());
    this.when(["mode"], () => {
      this.drawing = null;
      this.needLines();
    });
    this.when(["window"], () => this.#windowSet());
  }

  // ---- what is shown -----------------------------------------------------------------------
  get detector() {
    return this.store.detector();
  }

  /** What blinks: masks A and B, the two geometries, or nothing. */
  #blinks() {
    if (this.store.words.other && this.model.get("show_mask")) return "mask";
    return this.store.maps.corrected ? "geometry" : "";
  }

  /** Whether the second of two of a kind is shown. @param {string} kind */
  #second(kind) {
    return this.#phase && this.#blinks() === kind;
  }

  #blink() {
    const next = this.model.get("blink") && this.#blinks() ? !this.#phase : false;
    if (next === this.#phase) return;
    this.#phase = next;
    this.#layoutChanged();
    this.#need(LEVEL.pool);
  }

  layout() {
    return this.#second("geometry") ? "corrected" : this.model.get("arrangement");
  }

  map() {
    return this.store.map(this.layout());
  }

  /** Whether the layout has places in the lab. */
  inLab() {
    return this.layout() !== "stack";
  }

  /** Images to read beside those of the mask. */
  shownRuns() {
    const alone = this.tiles.filter(({ name }) => ALONE.includes(name));
    if (alone.length) return alone.map(({ name }) => name);
    return this.model.get("tiles") === BRIGHT_RUNS ? this.model.get("runs") : [];
  }

  /** Image whose values the bright runs have. */
  #runImage() {
    return this.model.get("images").find((image) => image.of_runs);
  }

  /** @param {string} name of an image or run, or "mask" */
  titleOf(name) {
    if (name === MASK_TILE) return "Mask";
    if (name === EVENT) return this.model.get("event");
    if (name === BRIGHT_AVERAGE) return "Average of the bright runs";
    const image = this.model.get("images").find((known) => known.name === name);
    return image?.title ?? `${this.#runImage()?.title ?? "Image"} of ${name}`;
  }

  /** @param {string} name of an image or run */
  unitOf(name) {
    const units = this.model.get("units");
    return units[name] ?? units[this.#runImage()?.name ?? ""] ?? "ADU";
  }

  #gates() {
    const { model } = this;
    const get = (/** @type {string} */ trait) => model.get(trait);
    const limits = (prefix = "") => model.get("limit_rules").map((rule) => limitOf(rule, get, prefix));
    /** @type {import("./screen.js").GatedLimits[]} */
    const gates = model.get("two_gains")
      ? [
          { gate: "high", limits: limits() },
          { gate: "low", limits: limits(LOW_GAIN_PREFIX) },
        ]
      : [{ gate: model.get("keepers").length ? "any" : "", limits: limits() }];
    return gates;
  }

  /** Colour limits of images that have none of their own.
   * @type {WeakMap<Float32Array, [number, number]>} */
  #ranges = new WeakMap();

  /** Colour limits of an image; the runs share one scale.
   * @param {string} name @returns {[number, number]} */
  rangeOf(name) {
    const own = this.model.get("limits")[name];
    if (own) return own;
    const known = ALONE.includes(name) || this.model.get("images").some((image) => image.name === name);
    const shared = this.store.images[this.#runImage()?.name ?? ""];
    const values = known ? this.store.images[name] : (shared ?? this.store.images[name]);
    if (!values) return [0, 1];
    const range = this.#ranges.get(values) ?? percentiles(values, 0.5, 99.5);
    this.#ranges.set(values, range);
    return range;
  }

  /** Shapes of the layers, as they are dragged, and the one that is being drawn. */
  shapes() {
    const { bending, drawing } = this;
    const shapes = this.model
      .get("shapes")
      .map((shape) => (bending?.layer === shape.layer ? bending : shape));
    return drawing ? [...shapes, drawing] : shapes;
  }

  // ---- the part that is seen ---------------------------------------------------------------
  /** Map whose outline the pictures have: both geometries stand still in that of the present. */
  #framed() {
    return this.inLab() ? this.store.maps.assembled : this.map();
  }

  /** Part that a tile shows. @param {Tile} tile */
  boxOf({ canvas }) {
    if (!this.box || !this.#main) {
      const map = this.map() ?? NOTHING;
      const frame = this.#framed() ?? map;
      const whole = fitted(frame, canvas.width, canvas.height);
      return (frame !== map && carried(whole, frame, map)) || whole;
    }
    const scale = this.#main.canvas.width / canvas.width;
    return { ...this.box, perPixel: this.box.perPixel * scale };
  }

  /** Show a part in all tiles. @param {Box} box of a tile @param {Tile} tile */
  #show(box, { canvas }) {
    const scale = canvas.width / (this.#main?.canvas.width ?? canvas.width);
    this.box = { ...box, perPixel: box.perPixel * scale };
    this.#moving();
  }

  fit() {
    this.box = null;
    this.put({ window: [] });
    this.#need(LEVEL.pool);
  }

  oneToOne() {
    const tile = this.#main;
    if (!this.map() || !tile) return;
    this.zoom(this.boxOf(tile).perPixel, tile, [tile.canvas.width / 2, tile.canvas.height / 2]);
  }

  /** @param {number} factor @param {Tile} tile @param {Point} at screen pixels */
  zoom(factor, tile, at) {
    this.#show(zoomed(this.boxOf(tile), factor, at), tile);
  }

  /** @param {Tile} tile @param {Point} by screen pixels */
  pan(tile, by) {
    this.#show(panned(this.boxOf(tile), by), tile);
  }

  #moving() {
    clearTimeout(this.#settle);
    this.#settle = setTimeout(() => {
      this.#settle = 0;
      this.#need(LEVEL.pool);
      this.#tellWindow();
    }, SETTLE_MS);
    this.#need(LEVEL.pool);
  }

  #tellWindow() {
    const { box } = this;
    const tile = this.#main;
    if (!box || !tile) return;
    const { row, col, perPixel } = box;
    const [height, width] = [tile.canvas.height * perPixel, tile.canvas.width * perPixel];
    this.put({ window: [row, col, row + height, col + width] });
  }

  /** The window was set from Python. */
  #windowSet() {
    const [top, left, bottom, right] = this.model.get("window");
    const tile = this.#main;
    if (this.#settle) return;
    if (top === undefined) this.box = null;
    else if (tile) {
      const { width, height } = tile.canvas;
      const perPixel = Math.max((bottom - top) / height, (right - left) / width);
      this.box = { row: top, col: left, perPixel };
    }
    this.#need(LEVEL.pool);
  }

  /** Another layout is shown: of the same part of the lab, if both are laid out in it. */
  #layoutChanged() {
    const before = this.store.map(this.#seenLayout);
    const now = this.map();
    this.#seenLayout = this.layout();
    if (!this.box || before === now) return;
    this.box = before && now ? carried(this.box, before, now) : null;
  }

  /** @param {number} row @param {number} col */
  toMm(row, col) {
    return toMm(/** @type {any} */ (this.map() ?? {}), row, col);
  }

  /** @param {Tile} tile @param {Point} mm */
  toScreen(tile, mm) {
    return toScreen(/** @type {any} */ (this.map() ?? {}), this.boxOf(tile), mm);
  }

  /** @param {Tile} tile */
  mmPerScreenPixel(tile) {
    return this.boxOf(tile).perPixel * (this.map()?.frame?.[2] ?? 1);
  }

  /** @param {Tile} tile @param {number} x @param {number} y @returns {Place} */
  placeAt(tile, x, y) {
    const { row, col, perPixel } = this.boxOf(tile);
    const [atRow, atCol] = [row + y * perPixel, col + x * perPixel];
    const mm = this.toMm(atRow - 0.5, atCol - 0.5);
    return { tile, x, y, row: Math.floor(atRow), col: Math.floor(atCol), mm };
  }

  /** Flat index of the pixel at a place of the layout, -1: none. @param {number} row @param {number} col */
  flatAt(row, col) {
    const map = this.map();
    const inside = map && row >= 0 && col >= 0 && row < map.rows && col < map.cols;
    return inside ? map.index[row * map.cols + col] : -1;
  }

  // ---- tiles -------------------------------------------------------------------------------
  /** Images of the tiles; the bright average where there is nothing else to see. */
  #chosen() {
    const { model, store } = this;
    const choices = tileChoices(model.get("images"));
    const chosen = choices[model.get("tiles")] ?? [];
    const together = choices["side by side"];
    const names = [chosen, model.get("runs"), together].find((some) => some.length) ?? [];
    const any = [...names, ...together].some((name) => store.images[name]);
    return any || !store.images[BRIGHT_AVERAGE] ? names : [BRIGHT_AVERAGE];
  }

  #rebuild() {
    const focused = this.tiles.findIndex((tile) => tile.lines === document.activeElement);
    this.tiles = this.#chosen().map((name) => makeTile(this, name));
    this.#stage.replaceChildren(...this.tiles.map((tile) => tile.node));
    for (const tile of this.tiles) listen(this, tile);
    if (focused >= 0) {
      // keys go on to work, and do not go to JupyterLab
      this.tiles[Math.min(focused, this.tiles.length - 1)].lines.focus({ preventScroll: true });
    }
    this.#resize();
  }

  /** Height for the pictures: what the window leaves beside, or above, the controls. */
  #room() {
    const fixed = this.model.get("height");
    if (fixed) return fixed;
    const app = this.root.closest(".cw-app");
    if (!app) return Math.max(SMALLEST, 0.48 * window.innerHeight);
    const window_ = document.fullscreenElement ?? this.root.closest(".jp-WindowedPanel-outer");
    const above = this.#stage.getBoundingClientRect().top - app.getBoundingClientRect().top;
    const seenToo = ".cw-main:not(.cw-wide-beside) > .cw-under"; // what the mask panel has there, one scrolls to
    const under = /** @type {HTMLElement | null} */ (app.querySelector(seenToo))?.offsetHeight ?? 0;
    const high = (window_?.clientHeight ?? window.innerHeight) - above - HEAD - STATUS - under;
    const beside = app.clientWidth > 1.25 * this.#stage.clientWidth;
    return Math.max(under ? SMALLEST_ABOVE : SMALLEST, beside ? high : high - CONTROLS);
  }

  #check() {
    const under = this.root.closest(".cw-app")?.querySelector(".cw-under") ?? null;
    if (under && under !== this.#under) this.#watcher.observe(under); // its content changes with the panel
    this.#under = under;
    const size = `${this.#stage.clientWidth} ${this.#room()}`;
    if (size === this.#size) return;
    this.#size = size;
    this.#resize();
  }

  #resize() {
    const wide = this.#stage.clientWidth;
    const count = this.tiles.length;
    if (!wide || !count) return;
    const { rows, cols } = this.#framed() ?? NOTHING;
    const aspect = rows / cols;
    const large = this.tiles.findIndex(({ name }) => name === this.#runImage()?.name);
    const room = this.#room();
    const { columns, size, largeSize } = arranged(count, large, wide, room, aspect, GAP, HEAD);
    this.#main = this.tiles[largeSize ? large : 0];
    const equal = `repeat(${columns}, minmax(0, 1fr))`;
    this.#stage.style.gridTemplateColumns = largeSize ? `${size.width + 2}px minmax(0, 1fr)` : equal;
    this.tiles.forEach((tile, n) => {
      const isLarge = largeSize !== null && n === large;
      const { width, height } = isLarge ? largeSize : size;
      tile.screen = isLarge ? this.screens.large : this.screens.small;
      tile.node.style.gridArea = isLarge ? `1 / 2 / span ${count - 1}` : "";
      resizeTile(tile, width, height, deviceRatio());
    });
    this.#need(LEVEL.pool);
  }

  // ---- drawing -----------------------------------------------------------------------------
  needLines() {
    this.#need(LEVEL.lines);
  }

  /** @param {number} level */
  #need(level) {
    this.#level = Math.max(this.#level, level);
    this.#overlay ||= level === LEVEL.lines || level === LEVEL.pool;
    if (this.#waiting) return;
    this.#waiting = true;
    requestAnimationFrame(() => {
      this.#waiting = false;
      this.#draw();
    });
  }

  #draw() {
    const [level, overlay] = [this.#level, this.#overlay];
    const [first] = this.tiles;
    this.#level = 0;
    this.#overlay = false;
    const empty = !this.map() || !Object.keys(this.store.images).length;
    if (this.root.classList.toggle("cw-empty", empty) !== this.#wasEmpty) {
      this.#wasEmpty = empty;
      this.#resize();
    }
    if (!empty && first && first.canvas.width > 1) this.#drawPictures(level, overlay);
    if (level > LEVEL.lines) this.#readAgain();
    this.root.dataset.frame = String(++this.#frame); // for measurements and tests
  }

  /** @param {number} level @param {boolean} overlay */
  #drawPictures(level, overlay) {
    const { model, store, tiles } = this;
    const map = this.map();
    if (!map) return;
    const shown = model.get("show_mask");
    const other = this.#second("mask");
    const words = other ? "other" : store.words.bits ? "bits" : null;
    const masks = shown || tiles.some(({ name }) => name === MASK_TILE);
    const opacity = shown ? model.get("mask_opacity") : 0;
    const rules = model.get("limit_rules");
    const gates = this.#gates();
    for (const screen of new Set(tiles.map((tile) => tile.screen))) {
      const sharing = tiles.filter((tile) => tile.screen === screen);
      const { width, height } = sharing[0].canvas;
      const box = this.boxOf(sharing[0]);
      screen.look(this.layout(), map, box, width, height, this.#settle !== 0);
      const changed = masks && screen.mark(rules, gates, other ? [] : model.get("rules"), words);
      if (level < LEVEL.mask && !changed) continue;
      for (const tile of sharing) this.#paint(tile, level, opacity, other);
    }
    const set = rules.map(({ limit }) => typeof limit === "string");
    this.root.dataset.limits = gates[0].limits.filter((_, n) => set[n]).join(" ");
    if (overlay) for (const tile of tiles) drawOverlay(this, tile);
  }

  /** @param {Tile} tile @param {number} level @param {number} opacity @param {boolean} other */
  #paint(tile, level, opacity, other) {
    const { model } = this;
    const { screen } = tile;
    const { flags } = screen;
    if (tile.name === MASK_TILE) {
      const images = model.get("images");
      const known = images.map(({ name }) => screen.pooled(name)).find((image) => image);
      tile.painter.mask(tile.canvas, known?.mean ?? null, flags);
    } else {
      const recolour = level >= LEVEL.colour || tile.painter.isFresh;
      const range = this.rangeOf(tile.name);
      const table = recolour ? colourTable(model.get("colormap")) : null;
      const scale = table && { range, log: model.get("log"), table };
      const values = screen.pooled(tile.name)?.mean ?? null;
      tile.painter.image(tile.canvas, values, flags, opacity, scale);
      if (table) showScale(tile, range, table, this.unitOf(tile.name));
    }
    const title = tile.full + (other ? ", remembered mask" : this.#shownGeometry());
    if (tile.title.textContent !== title) tile.title.textContent = title;
  }

  /** Which of two geometries is shown, for the title; nothing where there is only one. */
  #shownGeometry() {
    if (!this.inLab() || !this.store.maps.corrected) return "";
    const layout = this.layout();
    if (layout === "assembled" && !this.model.get("blink") && this.tiles.length > 1) return "";
    return `, ${this.model.get("names")[layout] ?? NAMES[layout]}`;
  }

  // ---- the rest ----------------------------------------------------------------------------
  /** @param {string} name */
  #arrived(name) {
    for (const screen of Object.values(this.screens)) {
      screen.forget(name, this.model.get("limit_rules"));
    }
    if (["assembled", "corrected", "stack"].includes(name)) this.#resize();
    else if (this.#chosen().join() !== this.tiles.map((tile) => tile.name).join()) this.#rebuild();
    else this.#need(LEVEL.pool);
  }

  readOut() {
    this.#status.textContent = readOut(this);
  }

  /** What lies under a resting mouse has changed. */
  #readAgain() {
    const { hover } = this;
    if (hover && this.map() && this.tiles.includes(hover.tile)) {
      this.hover = { ...hover, ...this.placeAt(hover.tile, hover.x, hover.y) };
    }
    this.readOut();
  }
}

/**
 * The detector that a model's facts describe; made anew when they change.
 * @param {Model<ViewTraits>} model
 * @returns {() => Detector}
 */
export function detectorOf(model) {
  /** @type {Detector | null} */
  let detector = null;
  let facts = model.get("detector_facts");
  return () => {
    if (!detector || facts !== model.get("detector_facts")) {
      facts = model.get("detector_facts");
      detector = new Detector(facts);
    }
    return detector;
  };
}
