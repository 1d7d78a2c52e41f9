// The fixed parts around the pictures: toolbar, list of keys, one head per picture.

const HELP = [
  ["wheel, + / −", "zoom"], ["drag, arrows (Shift: faster)", "pan"], ["double click, 0", "fit"],
  ["1 2 3 4", "only average, std deviation, maximum, mask"], ["5", "side by side"],
  ["M", "mask on or off"], ["L", "logarithmic scale"], ["C", "next colour map"],
  ["S", "assembled or raw stack"], ["R", "rings"], ["O", "outlines"], ["B", "blink"],
  ["drag an outline or its corners", "move or change a shape"], ["Delete", "remove the selected shape"],
  ["Enter", "pick the pixel in the middle; end a polygon"], ["Esc", "stop drawing, select nothing"], ["?", "this list"],
];
const TILE_SETS = {
  "side by side": IMAGES, average: ["average"], "std deviation": ["stddev"], maximum: ["maximum"],
  mask: ["mask"], "all four": [...IMAGES, "mask"], "bright runs": null,
};
const DRAWING = {
  pan: ["✥", "Move and pick: drag pans, a click shows the pixel"],
  rectangle: ["▭", "Draw a rectangle to mask (drag)"],
  circle: ["◯", "Draw a circle to mask (drag from its centre)"],
  line: ["╱", "Draw a line to mask, as the arm of a beam stop (drag from end to end)"],
  polygon: ["⬠", "Draw a polygon to mask (click corners; double click or Enter ends)"],
  pixel: ["∙", "Mask or unmask single pixels (click)"],
};

function element(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value);
  }
  node.append(...children);
  return node;
}

function makeToolbar(view) {
  const { get, put, when } = view;
  const choice = (name, options, title, label) => {
    const select = element("select", { title, "aria-label": label, onchange: () => put({ [name]: select.value }) });
    for (const option of options) select.append(element("option", { value: option }, option));
    const follow = () => { select.value = get(name); };
    when(name, follow); follow();
    return select;
  };
  const toggle = (name, text, title) => {
    const button = element("button", { type: "button", title, onclick: () => put({ [name]: !get(name) }) }, text);
    const follow = () => button.setAttribute("aria-pressed", String(!!get(name)));
    when(name, follow); follow();
    return button;
  };
  const action = (text, title, act, label) => element("button", { type: "button", title, "aria-label": label || text, onclick: act }, text);
  const group = (...nodes) => element("span", { class: "cw-group" }, ...nodes);

  const images = choice("tiles", Object.keys(TILE_SETS), "Which images are shown", "images");
  const runs = () => { [...images.options].at(-1).hidden = get("runs").length < 2; };
  when("runs", runs); runs();
  const opacity = element("input", { type: "range", min: 0, max: 1, step: 0.05, title: "Opacity of the mask overlay (0 to 1)",
    "aria-label": "mask opacity", oninput: () => put({ mask_opacity: Number(opacity.value) }) });
  const follow = () => { opacity.value = get("mask_opacity"); };
  when("mask_opacity", follow); follow();
  const modes = Object.entries(DRAWING).map(([mode, [sign, title]]) => {
    const button = action(sign, title, () => put({ mode }), mode);
    const show = () => button.setAttribute("aria-pressed", String(mode === get("mode")));
    when("mode", show); show();
    return button;
  });
  const draw = group(...modes);
  const drawable = () => { draw.hidden = !get("can_draw"); };
  when("can_draw", drawable); drawable();

  return element("div", { class: "cw-toolbar", role: "toolbar", "aria-label": "Image view" },
    group(images,
      choice("arrangement", ["assembled", "corrected", "stack"], "Sensors in the present geometry, in the corrected geometry, or stacked as in the file", "layout")),
    group(choice("colormap", Object.keys(MAPS), "Colour map", "colour map"),
      toggle("log", "Log", "Logarithmic colour scale"),
      action("Auto", "Colour limits from percentiles of the pixels (0.5 and 99.5 %)", () => put({ limits: {} }))),
    group(toggle("show_mask", "Mask", "Lay the mask over the images"), opacity),
    group(toggle("show_rings", "Rings", "Rings of the calibrant"),
      toggle("show_outlines", "Outlines", "Outlines and names of the quadrants"),
      toggle("blink", "Blink", "Twice a second: present and corrected geometry, or masks A and B")),
    draw,
    group(action("Fit", "Whole detector (double click or 0)", view.fit),
      action("1:1", "One detector pixel per screen pixel", view.oneToOne),
      action("⤓ PNG", "Save what is seen as a PNG file", () => screenshot(view), "save PNG"),
      action("?", "List of keys", view.help, "keys")));
}

function makeHelp() {
  const row = ([key, what]) => element("tr", {}, element("th", {}, key), element("td", {}, what));
  return element("div", { class: "cw-help", hidden: "", role: "dialog", "aria-label": "Keys" }, element("table", {}, ...HELP.map(row)));
}

/** A picture with its title, colour limits and the canvas for lines. */
function makeTile(view, name) {
  const full = nameOf(name);
  const limits = ["low", "high"].map((which, i) => element("input", {
    type: "number", step: "any", "aria-label": `${full} ${which} colour limit, ADU`,
    title: `${i ? "Upper" : "Lower"} end of the colour scale, ADU`,
    onchange: (event) => {
      const pair = view.limitsOf(name).slice();
      pair[i] = Number(event.target.value);
      if (pair[1] > pair[0]) view.put({ limits: { ...view.get("limits"), [name]: pair } });
    },
  }));
  const tile = {
    name, limits, full,
    canvas: element("canvas", { class: "cw-image", "data-image": name }),
    lines: element("canvas", { class: "cw-lines", tabindex: "0", role: "img", "aria-label": `${full}, press ? for keys` }),
    bar: element("canvas", { class: "cw-bar", width: 256, height: 1 }),
    title: element("span", { class: "cw-title", title: full }),
  };
  const head = element("div", { class: "cw-head" }, tile.title);
  if (name !== "mask") head.append(limits[0], tile.bar, limits[1], "ADU");
  tile.frame = element("div", { class: "cw-frame" }, tile.canvas, tile.lines);
  tile.node = element("div", { class: "cw-tile" }, head, tile.frame);
  return tile;
}

/** Colour bar and limits of a picture. */
function showScale(tile, [low, high], table) {
  [low, high].forEach((v, i) => { if (document.activeElement !== tile.limits[i]) tile.limits[i].value = Number(v.toPrecision(4)); });
  const strip = new ImageData(256, 1);
  new Uint32Array(strip.data.buffer).set(table);
  tile.bar.getContext("2d").putImageData(strip, 0, 0);
}

function screenshot(view) {
  const gap = 8, head = 24, { tiles, columns } = view, { width, height } = tiles[0].canvas;
  const rows = Math.ceil(tiles.length / columns);
  const out = element("canvas", { width: Math.min(columns, tiles.length) * (width + gap) - gap, height: rows * (height + head) });
  const c = out.getContext("2d");
  c.fillStyle = "#fff"; c.fillRect(0, 0, out.width, out.height);
  c.fillStyle = "#000"; c.font = "16px sans-serif";
  tiles.forEach((t, n) => {
    const x = (n % columns) * (width + gap), y = Math.floor(n / columns) * (height + head);
    c.fillText(t.title.textContent, x + 4, y + 17);
    c.drawImage(t.canvas, x, y + head); c.drawImage(t.lines, x, y + head);
  });
  element("a", { href: out.toDataURL("image/png"), download: "cspad.png" }).click();
}
