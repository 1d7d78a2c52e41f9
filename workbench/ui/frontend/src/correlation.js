// A correlation map: places on it, its contour at half height, its sections.

/** @import { Point } from "./types" */
/**
 * What Python sends of one group's map. Trials are shifts in pixels, the same for x (rows, down)
 * and y (columns, to the right).
 * @typedef {object} CorrelationMap
 * @property {string} title
 * @property {number[]} trials
 * @property {(number | null)[][]} values null: not measured
 * @property {Point | null} peak
 * @property {Point | null} offset in force
 * @property {[number, number, number] | null} ellipse 1 σ: half axes, angle of the first
 */

/** Places on a map of some size. @param {CorrelationMap} map @param {number} size */
export function scaleOf({ trials }, size) {
  const count = trials.length;
  const [first, last] = [trials[0], trials[count - 1]];
  const step = trials[1] - first;
  const cell = size / count;
  return {
    first,
    last,
    cell,
    /** Place of a shift. @param {number} shift */
    place: (shift) => ((shift - first) / step + 0.5) * cell,
    /** Length of a difference of shifts. @param {number} shift */
    length: (shift) => (shift / step) * cell,
    /** Number of the trial nearest to a shift. @param {number} shift */
    nearest: (shift) => Math.max(0, Math.min(count - 1, Math.round((shift - first) / step))),
    /** Shift at a place, within the map, to a tenth of a pixel. @param {number} place */
    shift: (place) =>
      Math.round((first + Math.max(0, Math.min(count, place / cell)) * step - step / 2) * 10) / 10,
  };
}

/** Lowest, highest and the half height between median and highest. @param {CorrelationMap} map */
export function heights({ values }) {
  const known = values.flat().filter((value) => value !== null);
  const sorted = [...known].sort((a, b) => a - b);
  const [low, high] = [sorted[0], sorted[sorted.length - 1]];
  return { low, high, half: (high + sorted[sorted.length >> 1]) / 2 };
}

/**
 * Edges between cells above a height and others: lines from one corner of a cell to the next, in
 * cells (column, row).
 * @param {CorrelationMap} map
 * @param {number} height
 * @returns {[Point, Point][]}
 */
export function contour({ values }, height) {
  const above = (/** @type {number} */ row, /** @type {number} */ column) =>
    (values[row]?.[column] ?? -Infinity) > height;
  /** @type {[Point, Point][]} */
  const lines = [];
  values.forEach((cells, row) => {
    cells.forEach((_, column) => {
      if (row && above(row, column) !== above(row - 1, column)) {
        lines.push([
          [column, row],
          [column + 1, row],
        ]);
      }
      if (column && above(row, column) !== above(row, column - 1)) {
        lines.push([
          [column, row],
          [column, row + 1],
        ]);
      }
    });
  });
  return lines;
}

/** Ticks of an axis. @param {number} first @param {number} last */
export function ticks(first, last) {
  const step = last > 30 ? 20 : last > 4 ? 10 : 1;
  const shifts = [];
  for (let at = Math.ceil(first / step) * step; at <= last; at += step) shifts.push(at);
  return shifts;
}
