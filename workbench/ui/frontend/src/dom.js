// Elements of the page.

/**
 * @typedef {{ [name: string]: string | number | undefined | ((event: any) => void) }} Attributes
 * An attribute that starts with "on" is a listener; undefined ones are left out.
 */

/**
 * Make an element.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Attributes} [attributes]
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(name.slice(2), value);
    else if (value !== undefined) node.setAttribute(name, String(value));
  }
  node.append(...children);
  return node;
}

/**
 * Drawing context of a canvas.
 * @param {HTMLCanvasElement} canvas
 */
export function contextOf(canvas) {
  return /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
}

/** Device pixels per CSS pixel, at most 2: finer canvases are not seen, only slower. */
export const deviceRatio = () => Math.min(2, window.devicePixelRatio || 1);

/**
 * Call for each of some events of a model until the result is called.
 * @param {import("./types").Model<any>} model
 */
export function subscriptions(model) {
  /** @type {(() => void)[]} */
  const ends = [];
  return {
    /** @param {string[]} names of traits @param {() => void} act */
    when(names, act) {
      for (const name of names) {
        model.on(`change:${name}`, act);
        ends.push(() => model.off(`change:${name}`, act));
      }
    },
    end() {
      for (const end of ends) end();
    },
  };
}

/**
 * Call when JupyterLab changes between light and dark.
 * @param {() => void} act
 * @returns {() => void} ends it
 */
export function onTheme(act) {
  const watcher = new MutationObserver(() => setTimeout(act, 300)); // the style sheet comes later
  watcher.observe(document.body, {
    attributes: true,
    attributeFilter: ["data-jp-theme-name", "data-jp-theme-light"],
  });
  return () => watcher.disconnect();
}

/**
 * Whether an element's background is dark.
 * @param {Element} node
 */
export function isDark(node) {
  const parts = getComputedStyle(node).backgroundColor.match(/[\d.]+/g) ?? ["255", "255", "255"];
  const [red, green, blue] = parts.map(Number);
  return red + green + blue < 380;
}
