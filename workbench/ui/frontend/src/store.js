// The arrays of one model: they come once, as binary messages, and all its views share them.

import { assemble, assembleBits, gated } from "./pool.js";

/** @import { Detector } from "./detector.js" */
/** @import { Gate, PixelMap } from "./types" */

/**
 * @typedef {object} Message
 * @property {"array" | "forget"} type
 * @property {string} name
 * @property {"image" | "bits" | "map"} [kind]
 * @property {[number, number]} [shape]
 * @property {[number, number, number]} [frame]
 */

/** @param {DataView | ArrayBuffer} part */
const bytes = (part) =>
  part instanceof ArrayBuffer ? part : part.buffer.slice(part.byteOffset, part.byteOffset + part.byteLength);

export class Store {
  /** @type {Record<string, Float32Array>} */
  images = {};
  /** Reasons of the layers (`bits`), what layers keep (`spared`) and mask B (`other`).
   * @type {Record<string, Uint32Array>} */
  words = {};
  /** @type {Record<string, PixelMap>} */
  maps = {};
  /** Called with the name of an array that came, changed or went.
   * @type {Set<(name: string) => void>} */
  listeners = new Set();
  #stamps = 0;
  /** Arrays in the order of a picture, by array, gate and layout.
   * @type {Map<string, Float32Array | Uint32Array>} */
  #pictures = new Map();

  /** @param {() => Detector} detector */
  constructor(detector) {
    this.detector = detector;
  }

  /**
   * Take a message of the model; gives whether it was an array.
   * @param {Message} message
   * @param {(DataView | ArrayBuffer)[]} buffers
   */
  receive({ type, kind, name, shape, frame }, buffers) {
    if (type !== "array" && type !== "forget") return false;
    for (const key of this.#pictures.keys()) {
      const [array, gate, layout] = key.split("/");
      if (array === name || layout === name || (gate && name === "bits")) {
        this.#pictures.delete(key);
      }
    }
    for (const kept of [this.images, this.words, this.maps]) delete kept[name];
    if (type === "array") {
      const [first, second] = buffers.map(bytes);
      if (kind === "image") this.images[name] = new Float32Array(/** @type {any} */ (first));
      else if (kind === "bits") this.words[name] = new Uint32Array(/** @type {any} */ (first));
      else {
        const [rows, cols] = shape ?? [0, 0];
        const index = new Int32Array(/** @type {any} */ (first));
        const asics = new Float32Array(/** @type {any} */ (second));
        this.maps[name] = { rows, cols, index, frame, asics, stamp: ++this.#stamps };
      }
    }
    for (const tell of this.listeners) tell(name);
    return type === "array";
  }

  /** The detector has changed: nothing that was laid out holds any more. */
  reset() {
    delete this.maps.stack;
    this.#pictures.clear();
    for (const tell of this.listeners) tell("stack");
  }

  /** @param {string} layout @returns {PixelMap | undefined} */
  map(layout) {
    if (layout === "stack") this.maps.stack ??= { ...this.detector().stack(), stamp: 0 };
    return this.maps[layout] ?? this.maps.assembled;
  }

  /**
   * An image as a picture; with a gate only the values it lets through.
   * @param {string} name
   * @param {string} layout
   * @param {Gate} gate
   * @returns {Float32Array | null}
   */
  imageIn(name, layout, gate = "") {
    const map = this.map(layout);
    const values = this.images[name];
    if (!map || !values) return null;
    const words = gate ? this.wordsIn("bits", layout) : null;
    return /** @type {Float32Array} */ (
      this.#picture(name, words ? gate : "", layout, map, () =>
        words
          ? gated(/** @type {Float32Array} */ (this.imageIn(name, layout)), words, gate)
          : assemble(values, map),
      )
    );
  }

  /**
   * Words as a picture.
   * @param {string} name
   * @param {string} layout
   * @returns {Uint32Array | null}
   */
  wordsIn(name, layout) {
    const map = this.map(layout);
    const words = this.words[name];
    if (!map || !words) return null;
    return /** @type {Uint32Array} */ (this.#picture(name, "", layout, map, () => assembleBits(words, map)));
  }

  /**
   * @param {string} name @param {Gate} gate @param {string} layout @param {PixelMap} map
   * @param {() => Float32Array | Uint32Array} make
   */
  #picture(name, gate, layout, map, make) {
    const key = [name, gate, map === this.maps.assembled ? "assembled" : layout].join("/");
    const known = this.#pictures.get(key);
    if (known) return known;
    const made = make();
    this.#pictures.set(key, made);
    return made;
  }
}
