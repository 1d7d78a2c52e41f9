// Colour maps, and values as colours. Colours are little-endian RGBA words.

/** Evenly spaced anchors, six hexadecimal digits each. */
const ANCHORS = {
  viridis:
    "44015448186a472d7b4240863b528b33638d2c728e26828e21918c1fa08828ae803fbc735ec96284d44baddc30d8e219fde725",
  cividis:
    "00224e002e6a1a386f32436d434e6c535a6d61656f6f70737d7c788c88789b9476aba072bcae6ccdbb63dec958f0d846fee838",
  gray: "000000ffffff",
  "gray, inverted": "ffffff000000",
};
export const COLORMAPS = Object.keys(ANCHORS);
const LEVELS = 256;

/**
 * @param {number} red @param {number} green @param {number} blue
 * @returns {number}
 */
export const colourWord = (red, green, blue) => (255 << 24) | (blue << 16) | (green << 8) | red;

/**
 * The 256 colours of a map, interpolated between its anchors.
 * @param {string} name viridis, if there is none of this name
 */
export function colourTable(name) {
  const hex = ANCHORS[/** @type {keyof typeof ANCHORS} */ (name)] ?? ANCHORS.viridis;
  const anchors = (hex.match(/../g) ?? []).map((pair) => Number.parseInt(pair, 16));
  const last = anchors.length / 3 - 1;
  const table = new Uint32Array(LEVELS);
  for (let level = 0; level < LEVELS; level++) {
    const at = (level / (LEVELS - 1)) * last;
    const low = Math.min(last - 1, Math.floor(at));
    const part = at - low;
    const [red, green, blue] = [0, 1, 2].map((channel) =>
      Math.round(anchors[3 * low + channel] * (1 - part) + anchors[3 * low + 3 + channel] * part),
    );
    table[level] = colourWord(red, green, blue);
  }
  return table;
}

/**
 * Colour of each value between two limits; 0 (transparent) where it is NaN.
 * @param {Float32Array} values
 * @param {readonly [number, number]} range
 * @param {boolean} log logarithmic scale
 * @param {Uint32Array} table
 * @param {Uint32Array} out
 */
export function paint(values, [low, high], log, table, out) {
  const first = log ? Math.log(Math.max(low, 1e-3)) : low;
  const last = log ? Math.log(Math.max(high, 2e-3)) : high;
  const factor = (LEVELS - 1) / (last - first || 1);
  for (let k = 0; k < out.length; k++) {
    const value = values[k];
    if (Number.isNaN(value)) {
      out[k] = 0;
      continue;
    }
    const at = ((log ? Math.log(Math.max(value, 1e-3)) : value) - first) * factor;
    out[k] = table[at <= 0 ? 0 : at >= LEVELS - 1 ? LEVELS - 1 : at | 0];
  }
}

/**
 * Lay a colour over others; transparent ones stay transparent.
 * @param {Uint32Array} below
 * @param {number} colour
 * @param {number} opacity 0 to 1
 * @param {Uint32Array} out
 */
export function layOver(below, colour, opacity, out) {
  const keep = 1 - opacity;
  const red = (colour & 255) * opacity;
  const green = ((colour >> 8) & 255) * opacity;
  const blue = ((colour >> 16) & 255) * opacity;
  for (let k = 0; k < out.length; k++) {
    const word = below[k];
    out[k] =
      word &&
      colourWord(
        (word & 255) * keep + red,
        ((word >> 8) & 255) * keep + green,
        ((word >> 16) & 255) * keep + blue,
      );
  }
}

/**
 * Values at two percentiles of the finite ones, of a regular sample of at most 200 000.
 * @param {Float32Array} values
 * @param {number} low
 * @param {number} high
 * @returns {[number, number]}
 */
export function percentiles(values, low, high) {
  const step = Math.max(1, Math.floor(values.length / 200_000));
  const sample = [];
  for (let k = 0; k < values.length; k += step) {
    if (Number.isFinite(values[k])) sample.push(values[k]);
  }
  if (!sample.length) return [0, 1];
  const sorted = Float32Array.from(sample).sort();
  const at = (/** @type {number} */ percent) =>
    sorted[Math.min(sorted.length - 1, Math.round((percent / 100) * (sorted.length - 1)))];
  const [first, last] = [at(low), at(high)];
  return last > first ? [first, last] : [first, first + 1];
}
