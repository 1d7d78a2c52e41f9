// The histogram under a limit: where its bars are, and what a limit at a place would remove.

/** @typedef {readonly [number, number]} Range */

/** Part of the pixels that ±10 % of a limit changes at most on a plateau. */
const PLATEAU = 0.0005;

/**
 * Between values and places on the axis, which has an inset on both sides.
 * @param {number} min @param {number} max @param {number} width @param {number} inset
 */
export function axis(min, max, width, inset) {
  const scale = (width - 2 * inset) / (max - min);
  return {
    /** @param {number} value */
    place: (value) => inset + (value - min) * scale,
    /** Value at a place, within the axis. @param {number} place */
    value: (place) => Math.max(min, Math.min(max, min + (place - inset) / scale)),
  };
}

/**
 * Bars of a histogram that are seen: left, width and height (logarithmic).
 * @param {number[]} counts
 * @param {Range} range of the histogram
 * @param {(value: number) => number} place
 * @param {Range} seen places
 * @param {number} height of the highest bar
 */
export function bars(counts, [low, high], place, [first, last], height) {
  const top = Math.log1p(Math.max(0, ...counts)) || 1;
  const step = (high - low) / counts.length;
  return counts.flatMap((count, n) => {
    const left = Math.max(first, place(low + n * step));
    const right = Math.min(last, place(low + (n + 1) * step));
    if (!count || right < left) return [];
    return [{ left, width: Math.max(0.7, right - left), height: (Math.log1p(count) / top) * height }];
  });
}

/**
 * Pixels removed by a limit, from those at the edges of the histogram.
 * @param {number[]} removed
 * @param {Range} range
 * @param {number} limit
 */
export function removedAt(removed, [low, high], limit) {
  const last = removed.length - 1;
  const at = Math.max(0, Math.min(last, ((limit - low) / (high - low)) * last));
  const left = Math.min(last - 1, Math.floor(at));
  return removed[left] + (at - left) * (removed[left + 1] - removed[left]);
}

/**
 * Pixels that a limit removes more, or fewer, for each unit it moves.
 * @param {number[]} removed
 * @param {Range} range
 * @param {number} limit
 */
export function slopeAt(removed, range, limit) {
  const step = (range[1] - range[0]) / (removed.length - 1);
  const change = removedAt(removed, range, limit + step) - removedAt(removed, range, limit - step);
  return Math.abs(change) / (2 * step);
}

/**
 * Bins in which the exact limit does not matter, as places from and to.
 * @param {number[]} removed
 * @param {Range} range
 * @param {number} pixels of the image
 * @returns {Range[]}
 */
export function plateaus(removed, range, pixels) {
  const step = (range[1] - range[0]) / (removed.length - 1);
  /** @type {Range[]} */
  const flat = [];
  for (let n = 0; n < removed.length - 1; n++) {
    const limit = range[0] + (n + 0.5) * step;
    if (1.1 * limit > range[1]) break;
    const change = removedAt(removed, range, 1.1 * limit) - removedAt(removed, range, 0.9 * limit);
    if (Math.abs(change) <= PLATEAU * pixels) flat.push([limit - step / 2, limit + step / 2]);
  }
  return flat;
}

/**
 * To a whole number of steps.
 * @param {number} value
 * @param {number} step
 */
export const rounded = (value, step) => Number((Math.round(value / step) * step).toPrecision(10));

/**
 * Why a limit that was typed is refused; empty if it is not.
 * @param {number} value
 * @param {object} limit
 * @param {"above" | "below"} limit.masks
 * @param {number | null} limit.highest value of the image; null: not known
 * @param {number} limit.step
 * @param {string} limit.unit
 */
export function refusal(value, { masks, highest, step, unit }) {
  if (!Number.isFinite(value)) return "Type a number.";
  if (masks === "above" && value <= 0) {
    return `${value} ${unit} would mask every pixel; type a limit above 0.`;
  }
  if (value < 0) return `${value} ${unit} is below 0, where nothing is masked; type 0 or more.`;
  if (highest === null || value <= Math.ceil(highest / step) * step) return "";
  const masked = masks === "above" ? "no pixel" : "every pixel";
  return (
    `${value} ${unit} would mask ${masked}: the largest value of the image is ` +
    `${Number(highest.toPrecision(6))} ${unit}.`
  );
}
