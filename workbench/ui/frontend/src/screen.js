// What each screen pixel shows: pooled values, broken rules, colours. Only what changed is redone.

import { colourWord, layOver, paint } from "./colormap.js";
import { clear, decisive, LAYER_FLAG, mark, markWords } from "./mask.js";
import { edges, pool, poolBits } from "./pool.js";

/** @import { Store } from "./store.js" */
/** @import { Box, Edges, Gate, LimitRule, PixelMap, Pooled } from "./types" */

const MASKED = colourWord(213, 94, 0);
const GOOD = colourWord(0, 114, 178);

/**
 * Pixels that share limits, and the limit of each rule for them.
 * @typedef {{ gate: Gate, limits: number[] }} GatedLimits
 */

/** The screen pixels of one view: all its tiles show the same part of the detector. */
export class Screen {
  width = 0;
  height = 0;
  flags = new Uint16Array(0);
  #seen = "";
  /** @type {{ layout: string, cols: number, quick: boolean, xs: Edges, ys: Edges } | null} */
  #part = null;
  /** @type {Map<string, Pooled>} */
  #pools = new Map();
  /** For each rule, what its flags were made of. @type {string[]} */
  #marked = [];
  /** @type {string | null | undefined} */
  #words = null;

  /** @param {Store} store */
  constructor(store) {
    this.store = store;
  }

  /**
   * Look at a part of a layout.
   * @param {string} layout
   * @param {PixelMap} map
   * @param {Box} box
   * @param {number} width screen pixels
   * @param {number} height
   * @param {boolean} quick coarse, while the part moves
   */
  look(layout, map, box, width, height, quick) {
    const { row, col, perPixel } = box;
    const seen = [layout, map.stamp, row, col, perPixel, width, height, quick].join();
    if (seen === this.#seen) return;
    this.#seen = seen;
    this.#part = {
      layout,
      cols: map.cols,
      quick,
      xs: edges(col, perPixel, width, map.cols),
      ys: edges(row, perPixel, height, map.rows),
    };
    Object.assign(this, { width, height });
    this.flags = new Uint16Array(width * height);
    this.#pools.clear();
    this.#marked = [];
    this.#words = null;
  }

  /**
   * An array came, changed or went.
   * @param {string} name
   * @param {LimitRule[]} rules
   */
  forget(name, rules) {
    const layers = name === "bits";
    for (const key of this.#pools.keys()) {
      const [image, gate] = key.split("/");
      if (image === name || (layers && gate)) this.#pools.delete(key);
    }
    rules.forEach(({ image }, n) => {
      if (layers || image === name) this.#marked[n] = "changed";
    });
    if (name === this.#words) this.#words = undefined;
  }

  /**
   * An image pooled to the screen; null if there is none.
   * @param {string} name
   * @param {Gate} gate
   */
  pooled(name, gate = "") {
    const key = `${name}/${gate}`;
    const known = this.#pools.get(key);
    if (known) return known;
    const part = this.#part;
    const source = part && this.store.imageIn(name, part.layout, gate);
    if (!source) return null;
    const made = pool(source, part.cols, part.xs, part.ys, part.quick);
    this.#pools.set(key, made);
    return made;
  }

  /**
   * Bring the flags up to date; gives whether any changed.
   * @param {LimitRule[]} rules
   * @param {GatedLimits[]} gates
   * @param {string[]} images whose rules are in force
   * @param {string | null} words array of words that mask
   */
  mark(rules, gates, images, words) {
    const { flags } = this;
    let changed = false;
    rules.forEach((rule, n) => {
      const flag = 1 << n;
      const used = images.includes(rule.image) && this.store.images[rule.image] ? gates : [];
      const made = used.map(({ gate, limits }) => `${gate} ${limits[n]}`).join();
      if (this.#marked[n] === made) return;
      this.#marked[n] = made;
      changed = true;
      if (!used.length) clear(flags, flag);
      used.forEach(({ gate, limits }, place) => {
        const values = /** @type {Pooled} */ (this.pooled(rule.image, gate))[decisive(rule)];
        mark(rule.sign, values, limits[n], flags, flag, place ? 0xffff : ~flag);
      });
    });
    if (this.#words !== words) {
      this.#words = words;
      changed = true;
      const part = this.#part;
      const source = words && part && this.store.wordsIn(words, part.layout);
      if (source) markWords(poolBits(source, part.cols, part.xs, part.ys), flags, LAYER_FLAG);
      else clear(flags, LAYER_FLAG);
    }
    return changed;
  }
}

/** Puts one image, or the mask, on its canvas. */
export class Painter {
  /** @type {ImageData | null} */
  #picture = null;
  #words = new Uint32Array(0);
  #below = new Uint32Array(0);
  #over = new Uint32Array(0);
  /** @type {number | null} opacity that `#over` was made with */
  #opacity = null;

  /** The canvas has another size. */
  reset() {
    this.#picture = null;
  }

  get isFresh() {
    return this.#picture === null;
  }

  /**
   * Colours of an image, and over them the mask.
   * @param {HTMLCanvasElement} canvas
   * @param {Float32Array | null} values of each screen pixel
   * @param {Uint16Array} flags
   * @param {number} opacity of the mask
   * @param {{ range: [number, number], log: boolean, table: Uint32Array } | null} scale null: the
   *   colours are those of the last time
   */
  image(canvas, values, flags, opacity, scale) {
    const size = flags.length;
    this.#prepare(canvas, size);
    const words = this.#words;
    if (!values) words.fill(0);
    else {
      if (scale) {
        paint(values, scale.range, scale.log, scale.table, this.#below);
        this.#opacity = null;
      }
      if (opacity > 0) {
        if (this.#opacity !== opacity) layOver(this.#below, MASKED, opacity, this.#over);
        this.#opacity = opacity;
        const [over, below] = [this.#over, this.#below];
        for (let k = 0; k < size; k++) words[k] = flags[k] ? over[k] : below[k];
      } else words.set(this.#below);
    }
    this.#show(canvas);
  }

  /**
   * Masked and good pixels in two colours.
   * @param {HTMLCanvasElement} canvas
   * @param {Float32Array | null} values NaN in gaps
   * @param {Uint16Array} flags
   */
  mask(canvas, values, flags) {
    this.#prepare(canvas, flags.length);
    const words = this.#words;
    for (let k = 0; k < words.length; k++) {
      words[k] = !values || Number.isNaN(values[k]) ? 0 : flags[k] ? MASKED : GOOD;
    }
    this.#show(canvas);
  }

  /** @param {HTMLCanvasElement} canvas @param {number} size */
  #prepare(canvas, size) {
    if (this.#picture && this.#words.length === size) return;
    this.#picture = new ImageData(canvas.width, canvas.height);
    this.#words = new Uint32Array(this.#picture.data.buffer);
    this.#below = new Uint32Array(size);
    this.#over = new Uint32Array(size);
    this.#opacity = null;
  }

  /** @param {HTMLCanvasElement} canvas */
  #show(canvas) {
    const context = canvas.getContext("2d");
    if (this.#picture) context?.putImageData(this.#picture, 0, 0);
  }
}
