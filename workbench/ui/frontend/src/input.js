// Mouse and keys on the pictures.

import { COLORMAPS } from "./colormap.js";
import { deviceRatio } from "./dom.js";
import { bent, hit } from "./shapes.js";
import { tileChoices } from "./tiles.js";

/** @import { Place, Tile, View } from "./view.js" */
/** @import { Point, Shape } from "./types" */

const NEAR = 7; // CSS pixels from a line that still count as on it
const STILL = 3; // screen pixels that a click may move
const REFUSED_AFTER = 1500; // ms; a shape that has not come back by then was refused

/**
 * Shape under the mouse.
 * @param {View} view
 * @param {Tile} tile
 * @param {Place} at
 */
function grab(view, tile, at) {
  if (!view.model.get("can_draw") || !view.inLab()) return null;
  const near = NEAR * deviceRatio() * view.mmPerScreenPixel(tile);
  return hit(view.shapes(), view.model.get("selected"), at.mm, near);
}

/**
 * @param {View} view
 * @param {Tile} tile
 */
export function listen(view, tile) {
  const { model } = view;
  const { lines } = tile;
  /** What the pressed mouse holds.
   * @type {{ x: number, y: number, from: Point, moved: boolean, grip: ReturnType<typeof grab>,
   * bent: Shape | null } | null} */
  let held = null;

  /** @param {MouseEvent} event */
  const place = (event) => {
    const box = lines.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * lines.width;
    const y = ((event.clientY - box.top) / box.height) * lines.height;
    return view.placeAt(tile, x, y);
  };
  const finish = () => {
    const shape = view.drawing;
    view.drawing = null;
    if (shape && shape.points.length > (shape.kind === "polygon" ? 2 : 1)) {
      model.send({ type: "shape", kind: shape.kind, points: shape.points });
    }
    view.needLines();
  };
  /** @param {Place} at */
  const pick = (at) => {
    const flat = view.flatAt(at.row, at.col);
    if (flat >= 0) model.send({ type: model.get("mode") === "pixel" ? "pixel" : "pick", flat });
  };
  /**
   * @template {keyof HTMLElementEventMap} Name
   * @param {Name} name @param {(event: HTMLElementEventMap[Name]) => void} act
   */
  const on = (name, act) => lines.addEventListener(name, act, { passive: false });

  on("wheel", (event) => {
    if (!view.map()) return;
    event.preventDefault();
    const at = place(event);
    const step = event.deltaMode ? 0.05 : 0.0015; // lines or pixels
    view.zoom(Math.exp(-event.deltaY * step), tile, [at.x, at.y]);
  });
  on("pointerdown", (event) => {
    if (!view.map() || event.button) return;
    lines.focus({ preventScroll: true });
    lines.setPointerCapture(event.pointerId);
    const at = place(event);
    const mode = model.get("mode");
    const under = mode === "pan" ? grab(view, tile, at) : null;
    const grip = under?.handle === null ? null : under; // the inside is no grip: dragging it pans
    held = { x: at.x, y: at.y, from: at.mm, moved: false, grip, bent: null };
    if (grip) view.put({ selected: grip.shape.layer });
    if (mode === "pan" || mode === "pixel" || !view.inLab()) return;
    if (view.drawing && mode === "polygon") view.drawing.points.push(at.mm);
    else {
      const kind = /** @type {Shape["kind"]} */ (mode);
      // the last point follows the mouse
      view.drawing = { kind, points: [at.mm, at.mm], width: 2, layer: -2, name: "" };
    }
    view.needLines();
  });
  on("pointermove", (event) => {
    if (!view.map()) return;
    const at = place(event);
    view.hover = at;
    view.readOut();
    if (view.drawing) view.drawing.points[view.drawing.points.length - 1] = at.mm;
    else if (held && model.get("mode") === "pan") {
      if (Math.hypot(at.x - held.x, at.y - held.y) > STILL) held.moved = true;
      if (held.moved && held.grip) {
        const { shape, handle } = held.grip;
        held.bent = view.bending = bent(shape, handle ?? -1, held.from, at.mm);
        view.needLines();
      } else if (held.moved) {
        view.pan(tile, [at.x - held.x, at.y - held.y]);
        [held.x, held.y] = [at.x, at.y];
      }
      return;
    } else if (model.get("mode") === "pan") {
      const under = grab(view, tile, at);
      lines.style.cursor = under && under.handle !== null ? "move" : "";
    }
    view.needLines();
  });
  /** A click: select the shape there, or none; and pick the pixel. @param {Place} at */
  const click = (at) => {
    const layer = grab(view, tile, at)?.shape.layer ?? -1;
    if (model.get("can_draw") && layer !== model.get("selected")) view.put({ selected: layer });
    pick(at);
  };
  on("pointerup", (event) => {
    if (!held) return;
    const { grip, moved, bent: bending } = held;
    const mode = model.get("mode");
    const at = place(event);
    const still = Math.hypot(at.x - held.x, at.y - held.y) <= STILL;
    held = null;
    if (bending) {
      view.bending = bending; // until it comes back as a shape; others may have arrived meanwhile
      model.send({ type: "reshape", layer: bending.layer, points: bending.points });
      setTimeout(() => {
        if (view.bending !== bending) return;
        view.bending = null;
        view.needLines();
      }, REFUSED_AFTER);
    }
    if (view.drawing && mode !== "polygon") {
      if (still)
        view.drawing = null; // a click draws nothing
      else finish();
    }
    if (mode === "pixel") pick(at);
    else if (still && !moved && !grip && mode !== "polygon") click(at);
    view.needLines();
  });
  on("dblclick", () => {
    if (view.drawing) {
      view.drawing.points.splice(-2); // the two clicks of the double click
      finish();
    } else if (model.get("mode") === "pan") view.fit();
  });
  on("pointerleave", () => {
    view.hover = null;
    view.readOut();
    view.needLines();
  });

  // ---- keys ----------------------------------------------------------------------------------
  /** @returns {Point} */
  const middle = () => [tile.canvas.width / 2, tile.canvas.height / 2];
  /** Move the picture by keys: the read-out is that of its middle. @param {() => void} act */
  const byKeys = (act) => {
    act();
    view.hover = { ...view.placeAt(tile, ...middle()), byKeys: true };
    view.readOut();
    view.needLines();
  };
  /** @param {string} trait */
  const flip = (trait) => () => view.put({ [trait]: !model.get(trait) });
  const zoom = (/** @type {number} */ factor) => () => byKeys(() => view.zoom(factor, tile, middle()));
  const choices = Object.keys(tileChoices(model.get("images")));
  const [together, ...single] = choices.slice(0, model.get("images").length + 2);
  /** @type {Record<string, () => void>} */
  const keys = {
    "+": zoom(1.25),
    "=": zoom(1.25),
    "-": zoom(0.8),
    0: () => view.fit(),
    "?": () => view.sheet.togglePopover(),
    m: flip("show_mask"),
    l: flip("log"),
    r: flip("show_rings"),
    o: flip("show_outlines"),
    b: flip("blink"),
    ...Object.fromEntries(single.map((tiles, n) => [n + 1, () => view.put({ tiles })])),
    [single.length + 1]: () => view.put({ tiles: together }),
    c: () => {
      const next = COLORMAPS.indexOf(model.get("colormap")) + 1;
      view.put({ colormap: COLORMAPS[next % COLORMAPS.length] });
    },
    s: () => view.put({ arrangement: view.inLab() ? "stack" : "assembled" }),
    Enter: () => {
      if (!view.drawing) pick(view.placeAt(tile, ...middle()));
      else {
        view.drawing.points.pop(); // the corner that follows the mouse
        finish();
      }
    },
    Escape: () => {
      view.drawing = null;
      view.sheet.hidePopover();
      view.put({ mode: "pan", selected: -1 });
      view.needLines();
    },
    Delete: () => {
      const layer = model.get("selected");
      if (model.get("shapes").some((shape) => shape.layer === layer)) {
        model.send({ type: "remove", layer });
      }
    },
  };
  /** @type {Record<string, Point>} */
  const ways = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
  on("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !view.map()) return;
    const way = ways[event.key];
    const step = (event.shiftKey ? 0.25 : 0.05) * tile.canvas.width;
    const act = way
      ? () => byKeys(() => view.pan(tile, [way[0] * step, way[1] * step]))
      : (keys[event.key] ?? keys[event.key.toLowerCase()]);
    if (!act) return;
    act();
    event.preventDefault();
    event.stopPropagation();
  });
}
