// Keeps a live figure of matplotlib as wide as its place, and tells whether the page is dark.

import { isDark, onTheme, subscriptions } from "./dom.js";

/** @import { Model } from "./types" */
/** @typedef {{ canvas: string, height: number, dark: boolean }} Traits */
/** @typedef {{ comm_live: boolean, resize: (width: number, height: number) => void }} CanvasModel ipympl's */

const SMALLEST = 120;
const SETTLE_MS = 150;

/** @param {{ model: Model<Traits>, el: HTMLElement }} place */
function render({ model, el }) {
  /** @type {CanvasModel | undefined} */
  let canvas;
  let timer = 0;
  let size = "";
  const place = () => el.closest(".cw-live");
  const fit = () => {
    const width = Math.floor(place()?.clientWidth ?? 0);
    const wanted = `${width} ${model.get("height")}`;
    if (!canvas?.comm_live || width < SMALLEST || wanted === size) return; // the kernel may be gone
    size = wanted;
    canvas.resize(width, model.get("height"));
  };
  const soon = () => {
    clearTimeout(timer);
    timer = setTimeout(fit, SETTLE_MS);
  };
  const theme = () => {
    const app = place()?.closest(".jp-Notebook, body") ?? document.body;
    if (isDark(app) === model.get("dark")) return;
    model.set("dark", isDark(app));
    model.save_changes();
  };
  const watcher = new ResizeObserver(soon);
  const waiting = setInterval(() => {
    const node = place(); // until it is in the page
    if (!node) return;
    clearInterval(waiting);
    watcher.observe(node);
    theme();
  }, 20);
  model.widget_manager.get_model(model.get("canvas").slice("IPY_MODEL_".length)).then((found) => {
    canvas = /** @type {any} */ (found);
    soon();
  });
  const traits = subscriptions(model);
  traits.when(["height"], soon);
  const endTheme = onTheme(theme);
  return () => {
    clearInterval(waiting);
    clearTimeout(timer);
    watcher.disconnect();
    endTheme();
    traits.end();
  };
}

export default { render };
