// The controls above the pictures, and the list of keys.

import { COLORMAPS } from "./colormap.js";
import { element } from "./dom.js";
import { BRIGHT_AVERAGE, BRIGHT_RUNS, SINGLE_EVENT, savePicture, tileChoices } from "./tiles.js";

/** @import { View } from "./view.js" */

const KEYS = [
  ["wheel, + / −", "zoom"],
  ["drag, arrows (Shift: faster)", "pan"],
  ["double click, 0", "fit"],
  ["1 2 3 …", "only one image, or the mask"],
  ["5", "side by side"],
  ["M", "mask on or off"],
  ["L", "logarithmic scale"],
  ["C", "next colour map"],
  ["S", "assembled or raw stack"],
  ["R", "rings"],
  ["O", "outlines"],
  ["B", "blink"],
  ["click a shape, or beside it", "select it, or none"],
  ["drag an outline or its corners", "move or change a shape"],
  ["Delete", "remove the selected shape"],
  ["Enter", "pick the pixel in the middle; end a polygon"],
  ["Ctrl+Z, Ctrl+Y", "undo, redo"],
  ["Esc", "stop drawing, select nothing; close this list"],
  ["?", "this list"],
];
const MODES = {
  pan: ["✥", "Move and pick: drag pans, a click shows the pixel"],
  rectangle: ["▭", "Draw a rectangle to mask (drag)"],
  circle: ["◯", "Draw a circle to mask (drag from its centre)"],
  line: ["╱", "Draw a line to mask, as the arm of a beam stop (drag from end to end)"],
  polygon: ["⬠", "Draw a polygon to mask (click corners; double click or Enter ends)"],
  pixel: ["∙", "Mask or unmask single pixels (click)"],
};
const LAYOUTS = ["assembled", "corrected", "stack"];

/** @param {...(Node | string)} nodes */
const group = (...nodes) => element("span", { class: "cw-group" }, ...nodes);

/**
 * @param {string} text @param {string} title @param {() => void} act @param {string} [label]
 */
const button = (text, title, act, label = text) =>
  element("button", { type: "button", title, "aria-label": label, onclick: act }, text);

/** @param {View} view */
export function makeToolbar(view) {
  const { model } = view;
  /** Do now, and whenever a trait changes. @param {string} trait @param {() => void} act */
  const follow = (trait, act) => {
    view.when([trait], act);
    act();
  };
  /**
   * @param {string} trait @param {string[]} options @param {string} title @param {string} label
   */
  const choice = (trait, options, title, label) => {
    const names = options.map((name) => element("option", { value: name }, name));
    const select = element(
      "select",
      { title, "aria-label": label, onchange: () => view.put({ [trait]: select.value }) },
      ...names,
    );
    follow(trait, () => {
      select.value = model.get(trait);
    });
    return select;
  };
  /** @param {string} trait @param {string} text @param {string} title */
  const toggle = (trait, text, title) => {
    const made = button(text, title, () => view.put({ [trait]: !model.get(trait) }));
    follow(trait, () => made.setAttribute("aria-pressed", String(Boolean(model.get(trait)))));
    return made;
  };

  const choices = Object.keys(tileChoices(model.get("images")));
  const images = choice("tiles", choices, "Which images are shown", "images");
  const optionOf = (/** @type {string} */ name) =>
    /** @type {HTMLOptionElement} */ (images.querySelector(`option[value="${name}"]`));
  follow("runs", () => {
    optionOf(BRIGHT_RUNS).hidden = model.get("runs").length < 2;
  });
  follow("has_bright_average", () => {
    optionOf(BRIGHT_AVERAGE).hidden = !model.get("has_bright_average");
  });
  follow("event", () => {
    optionOf(SINGLE_EVENT).hidden = !model.get("event");
  });
  const opacity = element("input", {
    type: "range",
    min: 0,
    max: 1,
    step: 0.05,
    title: "Opacity of the mask overlay (0 to 1)",
    "aria-label": "mask opacity",
    oninput: () => view.put({ mask_opacity: Number(opacity.value) }),
  });
  follow("mask_opacity", () => {
    opacity.value = String(model.get("mask_opacity"));
  });
  const modes = Object.entries(MODES).map(([mode, [sign, title]]) => {
    const made = button(sign, title, () => view.put({ mode }), mode);
    follow("mode", () => made.setAttribute("aria-pressed", String(mode === model.get("mode"))));
    return made;
  });
  const drawing = group(...modes);
  follow("can_draw", () => {
    drawing.hidden = !model.get("can_draw");
  });
  const ringsApart = toggle("rings_by_group", "", "");
  const offerApart = () => {
    ringsApart.hidden = !model.get("show_rings") || !model.get("group_offsets_px").length;
  };
  view.when(["group_offsets_px"], offerApart);
  follow("show_rings", offerApart);
  const keys = button("?", "List of keys", () => {}, "keys");
  keys.popoverTargetElement = view.sheet;
  const outlines = toggle("show_outlines", "Outlines", "");
  follow("detector_facts", () => {
    const word = view.detector.groupWord;
    ringsApart.textContent = `by ${word}`;
    ringsApart.setAttribute("aria-label", `by ${word}`);
    ringsApart.title = `Rings of each ${word} about its own centre in the present geometry, instead of the beam`;
    outlines.title = `Outlines and names of the ${word}s`;
  });
  const layouts = "Sensors in the present geometry, in the corrected geometry, or stacked as in the file";
  return element(
    "div",
    { class: "cw-toolbar", role: "toolbar", "aria-label": "Image view" },
    group(images, choice("arrangement", LAYOUTS, layouts, "layout")),
    group(
      choice("colormap", COLORMAPS, "Colour map", "colour map"),
      toggle("log", "Log", "Logarithmic colour scale"),
      button("Auto", "Colour limits from percentiles of the pixels (0.5 and 99.5 %)", () =>
        view.put({ limits: {} }),
      ),
    ),
    group(toggle("show_mask", "Mask", "Lay the mask over the images"), opacity),
    group(
      toggle("show_rings", "Rings", "Rings of the calibrant about the beam"),
      ringsApart,
      outlines,
      toggle(
        "blink",
        "Blink",
        "Twice a second: present and corrected geometry, or this mask and the remembered one",
      ),
    ),
    drawing,
    group(
      button("Fit", "Whole detector (double click or 0)", () => view.fit()),
      button("1:1", "One detector pixel per screen pixel", () => view.oneToOne()),
      button(
        "⤓ PNG",
        "Save what is seen as a PNG file",
        () => savePicture(view.tiles, `${view.detector.name}.png`),
        "save PNG",
      ),
      keys,
    ),
  );
}

/** The list of keys, hidden at first; a click beside it closes it. */
export function makeHelp() {
  const rows = KEYS.map(([key, what]) => element("tr", {}, element("th", {}, key), element("td", {}, what)));
  return element(
    "div",
    { class: "cw-help", popover: "auto", role: "dialog", "aria-label": "Keys" },
    element("table", {}, ...rows),
  );
}
