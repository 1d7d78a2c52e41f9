// One tile for each picture: its title, colour limits, and the canvases for pixels and lines.

import { contextOf, element } from "./dom.js";
import { Painter } from "./screen.js";

/** @import { View, Tile } from "./view.js" */

export const MASK_TILE = "mask";
export const BRIGHT_RUNS = "bright runs";
export const BRIGHT_AVERAGE = "bright average";
export const EVENT = "event";
export const SINGLE_EVENT = "single event";
/** Images with a title and colour limits of their own that the mask is not made from. */
export const ALONE = [EVENT, BRIGHT_AVERAGE];

/**
 * Names of the pictures of each choice, in order; those of the bright runs are their runs.
 * @param {{ name: string, title: string }[]} images
 * @returns {Record<string, string[]>}
 */
export function tileChoices(images) {
  const names = images.map(({ name }) => name);
  return {
    "side by side": names,
    ...Object.fromEntries(images.map(({ name, title }) => [title.toLowerCase(), [name]])),
    [MASK_TILE]: [MASK_TILE],
    "all four": [...names, MASK_TILE],
    [BRIGHT_RUNS]: [],
    [BRIGHT_AVERAGE]: [BRIGHT_AVERAGE],
    [SINGLE_EVENT]: [EVENT],
  };
}

/**
 * @param {View} view
 * @param {string} name of an image or run, or `MASK_TILE`
 * @returns {Tile}
 */
export function makeTile(view, name) {
  const full = view.titleOf(name);
  const label = name === EVENT ? "Single event" : full; // its title changes with each event
  const field = (/** @type {0 | 1} */ end) =>
    element("input", {
      type: "number",
      step: "any",
      "aria-label": `${label} ${end ? "high" : "low"} colour limit`,
      title: `${end ? "Upper" : "Lower"} end of the colour scale`,
      onchange: (event) => {
        const [low, high] = view.rangeOf(name);
        const typed = Number(event.target.value);
        /** @type {[number, number]} */
        const range = end ? [low, typed] : [typed, high];
        if (range[1] > range[0]) {
          view.put({ limits: { ...view.model.get("limits"), [name]: range } });
        }
      },
    });
  const limits = [field(0), field(1)];
  const canvas = element("canvas", { class: "cw-image", "data-image": name });
  const lines = element("canvas", {
    class: "cw-lines",
    tabindex: 0,
    role: "img",
    "aria-label": `${label}, press ? for keys`,
  });
  const bar = element("canvas", { class: "cw-bar", width: 256, height: 1 });
  const title = element("span", { class: "cw-title", title: full });
  const head = element("div", { class: "cw-head" }, title);
  const unit = element("span", { class: "cw-unit" });
  if (name !== MASK_TILE) head.append(limits[0], bar, limits[1], unit);
  const frame = element("div", { class: "cw-frame" }, canvas, lines);
  const node = element("div", { class: "cw-tile" }, head, frame);
  const painter = new Painter();
  const screen = view.screens.small;
  return { name, full, limits, unit, canvas, lines, bar, title, frame, node, painter, screen };
}

/**
 * Show the colour bar and limits of a picture.
 * @param {Tile} tile
 * @param {[number, number]} range
 * @param {Uint32Array} table
 * @param {string} unit
 */
export function showScale(tile, range, table, unit) {
  tile.unit.textContent = unit;
  range.forEach((value, end) => {
    const field = tile.limits[end];
    if (document.activeElement !== field) field.value = String(Number(value.toPrecision(4)));
  });
  tile.bar.title = `Colour scale from ${tile.limits[0].value} to ${tile.limits[1].value} ${unit}`;
  const strip = new ImageData(table.length, 1);
  new Uint32Array(strip.data.buffer).set(table);
  contextOf(tile.bar).putImageData(strip, 0, 0);
}

/**
 * Set the size of a tile's canvases, CSS pixels.
 * @param {Tile} tile
 * @param {number} width
 * @param {number} height
 * @param {number} ratio device pixels per CSS pixel
 */
export function resizeTile(tile, width, height, ratio) {
  for (const canvas of [tile.canvas, tile.lines]) {
    canvas.width = Math.max(1, Math.round(width * ratio));
    canvas.height = Math.max(1, Math.round(height * ratio));
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }
  tile.frame.style.height = `${height}px`;
  tile.painter.reset();
}

/**
 * Save what is seen as a PNG file.
 * @param {Tile[]} tiles
 * @param {string} name of the file
 */
export function savePicture(tiles, name) {
  const ratio = tiles[0].canvas.width / tiles[0].canvas.clientWidth;
  const boxes = tiles.map(({ node }) => node.getBoundingClientRect());
  const [left, top] = [Math.min(...boxes.map((box) => box.left)), Math.min(...boxes.map((box) => box.top))];
  const picture = element("canvas", {
    width: Math.ceil(ratio * (Math.max(...boxes.map((box) => box.right)) - left)),
    height: Math.ceil(ratio * (Math.max(...boxes.map((box) => box.bottom)) - top)),
  });
  const context = contextOf(picture);
  context.fillStyle = "#fff";
  context.fillRect(0, 0, picture.width, picture.height);
  context.fillStyle = "#000";
  context.font = `${14 * ratio}px sans-serif`;
  for (const { canvas, lines, title } of tiles) {
    const box = canvas.getBoundingClientRect();
    const [x, y] = [(box.left - left) * ratio, (box.top - top) * ratio];
    context.fillText(title.textContent ?? "", x + 4 * ratio, y - 8 * ratio);
    context.drawImage(canvas, x, y);
    context.drawImage(lines, x, y);
  }
  element("a", { href: picture.toDataURL("image/png"), download: name }).click();
}
