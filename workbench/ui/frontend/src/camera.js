// Between places on the screen, rows and columns of a picture, and the lab (mm).

/** @import { Box, PixelMap, Point } from "./types" */

const COARSEST = 8; // picture pixels per screen pixel
const FINEST = 1 / 96;

/**
 * The box that shows all of a picture, centred.
 * @param {PixelMap} map
 * @param {number} width screen pixels
 * @param {number} height
 * @returns {Box}
 */
export function fitted({ rows, cols }, width, height) {
  const perPixel = Math.max(cols / width, rows / height);
  return { perPixel, row: (rows - height * perPixel) / 2, col: (cols - width * perPixel) / 2 };
}

/**
 * Zoom about a place on the screen, which stays where it is.
 * @param {Box} box
 * @param {number} factor
 * @param {Point} at
 * @returns {Box}
 */
export function zoomed(box, factor, [x, y]) {
  const perPixel = Math.min(COARSEST, Math.max(FINEST, box.perPixel / factor));
  const change = box.perPixel - perPixel;
  return { perPixel, row: box.row + y * change, col: box.col + x * change };
}

/**
 * Move the picture by screen pixels.
 * @param {Box} box
 * @param {Point} by
 * @returns {Box}
 */
export function panned({ perPixel, row, col }, [dx, dy]) {
  return { perPixel, row: row - dy * perPixel, col: col - dx * perPixel };
}

/**
 * The same part of the lab in another picture; null if one of them is not laid out in the lab.
 * @param {Box} box
 * @param {PixelMap} from
 * @param {PixelMap} to
 * @returns {Box | null}
 */
export function carried(box, from, to) {
  if (!from.frame || !to.frame) return null;
  const scale = from.frame[2] / to.frame[2];
  const [[x, y, pitch], other] = [to.frame, from.frame]; // of the middles of the first pixels
  return {
    perPixel: box.perPixel * scale,
    row: (box.row - 0.5) * scale + (other[0] - x) / pitch + 0.5,
    col: (box.col - 0.5) * scale + (other[1] - y) / pitch + 0.5,
  };
}

/**
 * Lab x, y (mm) of a row and column.
 * @param {PixelMap} map
 * @param {number} row
 * @param {number} col
 * @returns {Point}
 */
export function toMm({ frame: [x, y, pitch] = [0, 0, 1] }, row, col) {
  return [x + row * pitch, y + col * pitch];
}

/**
 * Screen x, y of a place in the lab: lab x goes down, lab y to the right.
 * @param {PixelMap} map
 * @param {Box} box
 * @param {Point} mm
 * @returns {Point}
 */
export function toScreen({ frame: [x, y, pitch] = [0, 0, 1] }, { row, col, perPixel }, mm) {
  return [((mm[1] - y) / pitch + 0.5 - col) / perPixel, ((mm[0] - x) / pitch + 0.5 - row) / perPixel];
}

/** @typedef {{ width: number, height: number }} Size */

/**
 * Sizes of pictures of one aspect: side by side in as many columns as make them largest, or one
 * large with the others in a column beside it, where those do not get much smaller by it.
 * @param {number} count
 * @param {number} large picture that may be larger than the others; -1: none
 * @param {number} wide CSS pixels for all
 * @param {number} high
 * @param {number} aspect height / width of a picture
 * @param {number} gap between pictures
 * @param {number} head height above each
 * @returns {{ columns: number, size: Size, largeSize: Size | null }}
 */
export function arranged(count, large, wide, high, aspect, gap, head) {
  let best = { length: -1, columns: 1, size: { width: 1, height: 1 } };
  for (let columns = 1; columns <= count; columns++) {
    const rows = Math.ceil(count / columns);
    const width = Math.floor((wide - gap * (columns - 1)) / columns) - 2;
    const height = Math.min(width * aspect, (high - (rows - 1) * (gap + head)) / rows);
    const length = Math.min(width, height / aspect);
    const size = { width, height: Math.round(height) };
    if (length > best.length + 1) best = { length, columns, size };
  }
  const others = count - 1;
  if (large < 0 || others < 2) return { ...best, largeSize: null };
  const height = (high - (others - 1) * (gap + head)) / others;
  const columnsWide = wide - gap - 4; // of which the borders take 4
  const equallyHigh = (columnsWide - ((others - 1) * (gap + head)) / aspect) / (others + 1);
  const width = Math.floor(Math.min(height / aspect, equallyHigh));
  const rest = columnsWide - width;
  const length = Math.min(rest, high / aspect);
  if (width < 0.55 * best.length || length < 1.25 * best.length) return { ...best, largeSize: null };
  return {
    columns: 2,
    size: { width, height: Math.round(width * aspect) },
    largeSize: { width: Math.floor(rest), height: Math.round(length * aspect) },
  };
}
