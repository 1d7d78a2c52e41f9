// What each screen pixel shows: pooled values, broken rules, colours. Only what changed is redone.

const MASK_COLOUR = (255 << 24) | (0 << 16) | (94 << 8) | 213; // vermillion D55E00
const GOOD_COLOUR = (255 << 24) | (178 << 16) | (114 << 8) | 0; // blue 0072B2
const TINY = 5e-324; // v < TINY is v <= 0
/** Threshold rules: bit, image, pooled value that decides, its limit, and which side is masked. */
const RULES = [
  { bit: 1, image: "average", of: "min", limit: () => TINY, above: false, name: "average ≤ 0" },
  { bit: 2, image: "average", of: "max", limit: (l) => l.avg_max, above: true, name: "average > limit" },
  { bit: 4, image: "stddev", of: "min", limit: () => TINY, above: false, name: "std ≤ 0" },
  { bit: 8, image: "stddev", of: "max", limit: (l) => l.stddev_max, above: true, name: "std > limit" },
  { bit: 16, image: "maximum", of: "min", limit: (l) => l.maxproj_min, above: false, name: "maximum < limit" },
];
const OTHER_BIT = 32; // masked by a layer or by hand

function markAbove(values, limit, bit, flags, keep) {
  for (let k = 0; k < flags.length; k++) {
    flags[k] = values[k] > limit ? flags[k] | bit : flags[k] & keep;
  }
}
function markBelow(values, limit, bit, flags, keep) {
  for (let k = 0; k < flags.length; k++) {
    flags[k] = values[k] < limit ? flags[k] | bit : flags[k] & keep;
  }
}
function mix(below, colour, opacity, out) {
  const keep = 1 - opacity, r = (colour & 255) * opacity, g = ((colour >> 8) & 255) * opacity, b = ((colour >> 16) & 255) * opacity;
  for (let k = 0; k < out.length; k++) {
    const v = below[k];
    out[k] = v && ((255 << 24) | ((((v >> 16) & 255) * keep + b) << 16) | ((((v >> 8) & 255) * keep + g) << 8) | ((v & 255) * keep + r));
  }
}

/** The screen pixels of one view: all its tiles show the same window of the detector. */
function newScreen(store) {
  const screen = { width: 0, height: 0, pools: {}, flags: new Uint8Array(0) };
  let window = "", edge = null, marked = {}, bitsOf = null;

  /** Look at a window (detector pixels per screen pixel, first row and column) of a layout. */
  screen.look = (layout, map, box, width, height, quick) => {
    const key = [layout, map.stamp, box.row, box.col, box.perPixel, width, height, quick].join();
    if (key === window) return;
    window = key;
    edge = {
      layout, map, quick,
      xs: edges(box.col, box.perPixel, width, map.cols), ys: edges(box.row, box.perPixel, height, map.rows),
    };
    Object.assign(screen, { width, height, pools: {}, flags: new Uint8Array(width * height) });
    marked = {}; bitsOf = null;
  };
  /** An array came, changed or went. */
  screen.forget = (name) => {
    const bits = name === "bits";
    for (const key of Object.keys(screen.pools)) if (key === name || key.startsWith(`${name}|`) || (bits && key.includes("|"))) delete screen.pools[key];
    for (const rule of RULES) if (bits || rule.image === name) delete marked[rule.bit];
    if (name === bitsOf) bitsOf = undefined;
  };
  screen.pooled = (name, gate = "") => {
    const key = gate ? `${name}|${gate}` : name;
    if (!(key in screen.pools)) {
      const source = edge && store.inLayout(name, edge.layout, gate);
      if (!source) return null;
      screen.pools[key] = pool(source, edge.map, edge.xs, edge.ys, edge.quick);
    }
    return screen.pools[key];
  };
  /** Bring the flags up to date; gives whether any changed. `gates`: which pixels have which limits. */
  screen.mark = (gates, images, bits) => {
    let changed = false;
    const { flags } = screen;
    for (const rule of RULES) {
      const used = images.includes(rule.image) && store.arrays[rule.image] ? gates : [];
      const limit = used.map((gate) => `${gate.name} ${rule.limit(gate.limits)}`).join();
      if (marked[rule.bit] === limit) continue;
      marked[rule.bit] = limit;
      changed = true;
      if (!used.length) markAbove(flags, Infinity, rule.bit, flags, ~rule.bit);
      used.forEach((gate, n) => {
        const values = screen.pooled(rule.image, gate.name)[rule.of];
        (rule.above ? markAbove : markBelow)(values, rule.limit(gate.limits), rule.bit, flags, n ? 255 : ~rule.bit);
      });
    }
    if (bitsOf !== bits) {
      bitsOf = bits;
      changed = true;
      const source = bits && store.inLayout(bits, edge.layout);
      markAbove(source ? poolBits(source, edge.map, edge.xs, edge.ys) : flags, source ? 0 : Infinity, OTHER_BIT, flags, ~OTHER_BIT);
    }
    return changed;
  };
  return screen;
}

/** Put a tile's pixels on its canvas: colours, and over them the mask where `show` says so. */
function paintTile(screen, tile, limits, show, recolour) {
  const { canvas, name } = tile, { flags } = screen, n = flags.length;
  if (!tile.picture || tile.words.length !== n) {
    tile.picture = new ImageData(canvas.width, canvas.height);
    tile.words = new Uint32Array(tile.picture.data.buffer);
    tile.below = new Uint32Array(n); tile.over = new Uint32Array(n);
    tile.opacity = null;
  }
  const { words, below, over } = tile, values = screen.pooled(name);
  if (name === "mask") {
    const any = IMAGES.map(screen.pooled).find((one) => one);
    if (!any) words.fill(0);
    else for (let k = 0; k < n; k++) words[k] = any.mean[k] !== any.mean[k] ? 0 : flags[k] ? MASK_COLOUR : GOOD_COLOUR;
  } else if (values) {
    if (recolour || tile.opacity === null) {
      paint(values.mean, limits[0], limits[1], show.log, show.table, below);
      tile.opacity = null;
    }
    if (show.opacity > 0) {
      if (tile.opacity !== show.opacity) mix(below, MASK_COLOUR, show.opacity, over);
      tile.opacity = show.opacity;
      for (let k = 0; k < n; k++) words[k] = flags[k] ? over[k] : below[k];
    } else {
      words.set(below);
      tile.opacity ??= 0;
    }
  } else words.fill(0);
  canvas.getContext("2d").putImageData(tile.picture, 0, 0);
}
