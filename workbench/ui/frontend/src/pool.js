// Detector arrays laid out as a picture, and pooled to screen pixels.

/** @import { Edges, Gate, PixelMap, Pooled } from "./types" */

/** Bits of the layers' array that mask a pixel; above them stand the two below. */
const REASON_BITS = 0xffffff;
const LOW_GAIN_BIT = 30;
const KEPT_BIT = 31;

/** Whether a pixel has low gain, by its word in the layers' array. @param {number} word */
export const hasLowGain = (word) => ((word >>> LOW_GAIN_BIT) & 1) === 1;
/** Whether a layer keeps a pixel from being masked. @param {number} word */
export const isKept = (word) => word >>> KEPT_BIT === 1;

/**
 * Values in the order of a picture: NaN in gaps, -Infinity where a pixel's value is not finite.
 * @param {Float32Array} values
 * @param {PixelMap} map
 */
export function assemble(values, { index }) {
  const out = new Float32Array(index.length);
  for (let k = 0; k < out.length; k++) {
    const flat = index[k];
    const value = flat < 0 ? Number.NaN : values[flat];
    out[k] = flat < 0 || Number.isFinite(value) ? value : -Infinity;
  }
  return out;
}

/**
 * Words in the order of a picture; 0 in gaps.
 * @param {Uint32Array} words
 * @param {PixelMap} map
 */
export function assembleBits(words, { index }) {
  const out = new Uint32Array(index.length);
  for (let k = 0; k < out.length; k++) if (index[k] >= 0) out[k] = words[index[k]];
  return out;
}

/**
 * Values that a limit is compared with: NaN where a layer keeps the pixel, or its gain is another.
 * @param {Float32Array} values
 * @param {Uint32Array} words
 * @param {Gate} gate
 */
export function gated(values, words, gate) {
  const out = new Float32Array(values.length);
  const wanted = gate === "low";
  for (let k = 0; k < out.length; k++) {
    const word = words[k];
    const left = isKept(word) || (gate !== "any" && hasLowGain(word) !== wanted);
    out[k] = left ? Number.NaN : values[k];
  }
  return out;
}

/**
 * Lines of the picture under each screen pixel: at least one, none outside the picture.
 * @param {number} start line at the first screen pixel
 * @param {number} perPixel lines per screen pixel
 * @param {number} size screen pixels
 * @param {number} limit lines of the picture
 * @returns {Edges}
 */
export function edges(start, perPixel, size, limit) {
  const low = new Int32Array(size);
  const high = new Int32Array(size);
  for (let i = 0; i < size; i++) {
    const first = Math.floor(start + i * perPixel);
    const last = Math.max(first + 1, Math.floor(start + (i + 1) * perPixel));
    low[i] = Math.max(0, Math.min(limit, first));
    high[i] = Math.max(low[i], Math.min(limit, last));
  }
  return { low, high };
}

/**
 * Mean, smallest and largest value under every screen pixel. A limit on the smallest (largest)
 * value marks a screen pixel exactly when some detector pixel under it is below (above): full
 * resolution at the cost of a screen. Gaps give mean NaN, min +Infinity, max -Infinity.
 * @param {Float32Array} source picture from `assemble`
 * @param {number} cols of the picture
 * @param {Edges} xs
 * @param {Edges} ys
 * @param {boolean} quick look only at the first pixel under each screen pixel
 * @returns {Pooled}
 */
export function pool(source, cols, xs, ys, quick) {
  const width = xs.low.length;
  const height = ys.low.length;
  const mean = new Float32Array(width * height);
  const min = new Float32Array(width * height);
  const max = new Float32Array(width * height);
  for (let y = 0; y < height; y++) {
    const top = ys.low[y];
    const bottom = quick ? Math.min(top + 1, ys.high[y]) : ys.high[y];
    for (let x = 0, k = y * width; x < width; x++, k++) {
      const left = xs.low[x];
      const right = quick ? Math.min(left + 1, xs.high[x]) : xs.high[x];
      let sum = 0;
      let count = 0;
      let lowest = Infinity;
      let highest = -Infinity;
      for (let row = top; row < bottom; row++) {
        for (let p = row * cols + left, stop = row * cols + right; p < stop; p++) {
          const value = source[p];
          if (Number.isNaN(value)) continue;
          if (value < lowest) lowest = value;
          if (value > highest) highest = value;
          if (value > -Infinity) {
            sum += value;
            count++;
          }
        }
      }
      mean[k] = count ? sum / count : lowest === Infinity ? Number.NaN : -Infinity;
      min[k] = lowest;
      max[k] = highest;
    }
  }
  return { mean, min, max };
}

/**
 * All reasons under every screen pixel.
 * @param {Uint32Array} source picture from `assembleBits`
 * @param {number} cols
 * @param {Edges} xs
 * @param {Edges} ys
 */
export function poolBits(source, cols, xs, ys) {
  const width = xs.low.length;
  const height = ys.low.length;
  const out = new Uint32Array(width * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0, k = y * width; x < width; x++, k++) {
      let any = 0;
      for (let row = ys.low[y]; row < ys.high[y]; row++) {
        const stop = row * cols + xs.high[x];
        for (let p = row * cols + xs.low[x]; p < stop; p++) any |= source[p];
      }
      out[k] = any & REASON_BITS;
    }
  }
  return out;
}
