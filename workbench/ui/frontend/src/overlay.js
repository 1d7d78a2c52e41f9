// What lies over the pictures: outlines and names of groups, rings, shapes, numbers, the cursor.

import { contextOf, deviceRatio } from "./dom.js";
import { digits, roundBelow } from "./numbers.js";
import { handles, outline } from "./shapes.js";
import { EVENT } from "./tiles.js";

/** @import { Tile, View } from "./view.js" */
/** @import { PixelMap, Point, Shape } from "./types" */
/** @typedef {CanvasRenderingContext2D} Context */

const SHAPE_COLOUR = "#E69F00";
const PEAK_COLOUR = "#56B4E9";
const PEAK_RADIUS = 6; // CSS pixels
const AXES_LENGTH = 70; // CSS pixels, at most
const AXES_WIDTH = 240; // CSS pixels; narrower pictures have no axes
const RING_DISTANCE = 22; // CSS pixels; rings closer than that would hide the picture: zoom in

/**
 * White letters with a black edge, for `label`.
 * @param {Context} context @param {number} size CSS pixels @param {CanvasTextAlign} align
 * @param {number} ratio
 */
function setLabels(context, size, align, ratio) {
  context.font = `bold ${size * ratio}px sans-serif`;
  context.textAlign = align;
  context.lineWidth = 3 * ratio;
  context.strokeStyle = "#000";
  context.fillStyle = "#fff";
}

/** @param {Context} context @param {string} text @param {number} x @param {number} y */
function label(context, text, x, y) {
  context.strokeText(text, x, y);
  context.fillText(text, x, y);
}

/**
 * Outline of a group's ASICs on the screen, and its middle.
 * @param {View} view
 * @param {Tile} tile
 * @param {number} group
 * @param {Float32Array} asics
 */
function groupPath(view, tile, group, asics) {
  const path = new Path2D();
  const outlines = view.detector.outlines(group, asics);
  let [x, y] = [0, 0];
  for (const corners of outlines) {
    corners.forEach((corner, n) => {
      const [atX, atY] = view.toScreen(tile, corner);
      x += atX / (4 * outlines.length);
      y += atY / (4 * outlines.length);
      if (n) path.lineTo(atX, atY);
      else path.moveTo(atX, atY);
    });
    path.closePath();
  }
  return { path, x, y };
}

/**
 * @param {Context} context @param {Path2D} path @param {string} name @param {number} x
 * @param {number} y @param {number} ratio
 */
function drawOutline(context, path, name, x, y, ratio) {
  context.strokeStyle = "rgba(255,255,255,0.75)";
  context.lineWidth = ratio;
  context.stroke(path);
  setLabels(context, 14, "center", ratio);
  label(context, name, x, y);
}

/**
 * Rings of the calibrant around a place on the screen.
 * @param {View} view @param {Tile} tile @param {Context} context
 * @param {Point} centre mm
 * @param {number} pitch mm
 * @param {number} ratio
 */
function drawRings(view, tile, context, centre, pitch, ratio) {
  const [x, y] = view.toScreen(tile, centre);
  const scale = 1 / (pitch * view.boxOf(tile).perPixel);
  context.setLineDash([3 * ratio, 7 * ratio]);
  let last = -Infinity;
  for (const [radius] of view.model.get("rings")) {
    if ((radius * scale - last) / ratio < RING_DISTANCE) continue;
    last = radius * scale;
    for (const [colour, width] of /** @type {[string, number][]} */ ([
      ["rgba(0,0,0,0.8)", 2.2],
      ["#fff", 1.2],
    ])) {
      context.beginPath();
      context.strokeStyle = colour;
      context.lineWidth = width * ratio;
      context.arc(x, y, last, 0, 2 * Math.PI);
      context.stroke();
    }
  }
  context.setLineDash([]);
}

/**
 * @param {View} view @param {Tile} tile @param {Context} context
 * @param {Float32Array} asics @param {number} pitch @param {number} ratio
 */
function drawGroups(view, tile, context, asics, pitch, ratio) {
  const { model, detector } = view;
  const centre = model.get("centre_mm");
  const shown = model.get("show_rings");
  const apart = shown && model.get("rings_by_group") && view.layout() === "assembled";
  if (shown && !apart) drawRings(view, tile, context, centre, pitch, ratio);
  detector.groups.forEach(({ name }, group) => {
    const { path, x, y } = groupPath(view, tile, group, asics);
    if (model.get("show_outlines")) drawOutline(context, path, name, x, y, ratio);
    if (!apart) return;
    const [dx, dy] = model.get("group_offsets_px")[group] ?? [0, 0];
    context.save();
    context.clip(path);
    drawRings(view, tile, context, [centre[0] + dx * pitch, centre[1] + dy * pitch], pitch, ratio);
    context.restore();
  });
}

/**
 * The values themselves, once a pixel is large enough to hold one.
 * @param {View} view @param {Tile} tile @param {Context} context @param {PixelMap} map
 * @param {number} ratio
 */
function drawNumbers(view, tile, context, map, ratio) {
  const { row, col, perPixel } = view.boxOf(tile);
  const values = view.store.images[tile.name];
  if (!values || 1 / perPixel < 40 * ratio) return;
  context.font = `${11 * ratio}px sans-serif`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.lineWidth = 3 * ratio;
  context.strokeStyle = "#000";
  context.fillStyle = "#fff";
  const lastRow = Math.min(map.rows, Math.ceil(row + tile.lines.height * perPixel));
  const lastCol = Math.min(map.cols, Math.ceil(col + tile.lines.width * perPixel));
  for (let r = Math.max(0, Math.floor(row)); r < lastRow; r++) {
    for (let c = Math.max(0, Math.floor(col)); c < lastCol; c++) {
      const flat = map.index[r * map.cols + c];
      if (flat < 0) continue;
      label(context, digits(values[flat]), (c + 0.5 - col) / perPixel, (r + 0.5 - row) / perPixel);
    }
  }
  context.textBaseline = "alphabetic";
}

/**
 * @param {View} view @param {Tile} tile @param {Context} context @param {Shape} shape
 * @param {number} ratio
 */
function drawShape(view, tile, context, shape, ratio) {
  const selected = shape.layer === view.model.get("selected") && view.model.get("can_draw");
  const line = outline(shape).map((point) => view.toScreen(tile, point));
  const path = new Path2D();
  line.forEach(([x, y], n) => {
    if (n) path.lineTo(x, y);
    else path.moveTo(x, y);
  });
  if (shape !== view.drawing || shape.kind !== "polygon") path.closePath();
  const dashed = shape.mode && shape.mode !== "union";
  context.setLineDash(dashed ? [6 * ratio, 4 * ratio] : []);
  if (selected) {
    context.strokeStyle = "#000";
    context.lineWidth = 5 * ratio;
    context.stroke(path);
  }
  context.strokeStyle = SHAPE_COLOUR;
  context.lineWidth = (selected ? 3 : 2) * ratio;
  context.stroke(path);
  context.setLineDash([]);
  if (!selected) return;
  context.lineWidth = ratio;
  context.strokeStyle = "#000";
  context.fillStyle = "#fff";
  const side = 7 * ratio;
  for (const point of handles(shape)) {
    const [x, y] = view.toScreen(tile, point);
    context.fillRect(x - side / 2, y - side / 2, side, side);
    context.strokeRect(x - side / 2, y - side / 2, side, side);
  }
  setLabels(context, 12, "left", ratio);
  const [x, y] = line.reduce((top, point) => (point[1] < top[1] ? point : top));
  label(context, shape.name, x + 6 * ratio, y - 6 * ratio);
}

/**
 * Circles around the peaks of the single event.
 * @param {View} view @param {Tile} tile @param {Context} context @param {Float32Array} asics
 * @param {number} ratio
 */
function drawPeaks(view, tile, context, asics, ratio) {
  const path = new Path2D();
  for (const flat of view.model.get("peaks")) {
    const [x, y] = view.toScreen(tile, view.detector.position(flat, asics));
    path.moveTo(x + PEAK_RADIUS * ratio, y);
    path.arc(x, y, PEAK_RADIUS * ratio, 0, 2 * Math.PI);
  }
  for (const [colour, width] of /** @type {[string, number][]} */ ([
    ["#000", 3],
    [PEAK_COLOUR, 1.4],
  ])) {
    context.strokeStyle = colour;
    context.lineWidth = width * ratio;
    context.stroke(path);
  }
  view.root.dataset.peaks = String(view.model.get("peaks").length); // for tests
}

/**
 * Lab x (down) and y (to the right) in the lower left corner, and how long their arrows are.
 * @param {View} view @param {Tile} tile @param {Context} context @param {number} pitch mm
 * @param {number} ratio
 */
function drawAxes(view, tile, context, pitch, ratio) {
  if (tile.lines.width < AXES_WIDTH * ratio) return;
  const scale = view.mmPerScreenPixel(tile);
  const mm = roundBelow(AXES_LENGTH * ratio * scale);
  const [length, tip] = [mm / scale, 5 * ratio];
  const [left, right] = [12 * ratio, 12 * ratio + length];
  const low = tile.lines.height - 16 * ratio;
  const high = low - length;
  const path = new Path2D(
    `M${left} ${high}H${right}m${-tip} ${-tip}l${tip} ${tip}l${-tip} ${tip}` +
      `M${left} ${high}V${low}m${-tip} ${-tip}l${tip} ${tip}l${tip} ${-tip}`,
  );
  for (const [colour, width] of /** @type {[string, number][]} */ ([
    ["#000", 4],
    ["#fff", 1.6],
  ])) {
    context.strokeStyle = colour;
    context.lineWidth = width * ratio;
    context.stroke(path);
  }
  setLabels(context, 12, "left", ratio);
  label(context, "y", right + 5 * ratio, high + 4 * ratio);
  label(context, "x", left - 3 * ratio, low + 13 * ratio);
  const pixels = Number((mm / pitch).toPrecision(3));
  label(context, `${mm} mm = ${pixels} px`, left + 8 * ratio, high + 16 * ratio);
}

/**
 * Draw all of it.
 * @param {View} view
 * @param {Tile} tile
 */
export function drawOverlay(view, tile) {
  const { model, hover } = view;
  const { lines } = tile;
  const context = contextOf(lines);
  const ratio = deviceRatio();
  const map = view.map();
  context.clearRect(0, 0, lines.width, lines.height);
  if (!map || (!tile.screen.pooled(tile.name) && tile.name !== "mask")) {
    context.fillStyle = "#ddd";
    context.font = `${13 * ratio}px sans-serif`;
    context.textAlign = "center";
    context.fillText("no image yet", lines.width / 2, lines.height / 2);
    return;
  }
  drawNumbers(view, tile, context, map, ratio);
  if (!view.inLab()) return;
  if (map.asics && map.frame && (model.get("show_outlines") || model.get("show_rings"))) {
    drawGroups(view, tile, context, map.asics, map.frame[2], ratio);
  }
  if (map.asics && tile.name === EVENT) drawPeaks(view, tile, context, map.asics, ratio);
  for (const shape of view.shapes()) drawShape(view, tile, context, shape, ratio);
  if (map.frame) drawAxes(view, tile, context, map.frame[2], ratio);
  if (hover && (hover.tile !== tile || hover.byKeys)) {
    // the same place on the other images
    const { row, col, perPixel } = view.boxOf(tile);
    context.strokeStyle = "#fff";
    context.lineWidth = ratio;
    context.beginPath();
    const [x, y] = [(hover.col + 0.5 - col) / perPixel, (hover.row + 0.5 - row) / perPixel];
    context.arc(x, y, 5 * ratio, 0, 2 * Math.PI);
    context.stroke();
  }
}
