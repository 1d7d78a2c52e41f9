// The line under the pictures: what the pixel under the mouse is, has and why it is masked.

import { resolution } from "./detector.js";
import { breaks, LOW_GAIN_PREFIX, limitOf } from "./mask.js";
import { digits } from "./numbers.js";
import { hasLowGain, isKept } from "./pool.js";

/** @import { View } from "./view.js" */
/** @import { LimitRule } from "./types" */

/**
 * What masks a pixel, or would if a layer did not keep it.
 * @param {object} pixel
 * @param {LimitRule[]} pixel.rules in force
 * @param {Record<string, number>} pixel.values by image
 * @param {(trait: string) => number} pixel.limit
 * @param {boolean} pixel.twoGains low-gain pixels have limits of their own
 * @param {number} pixel.word its reasons in the layers' array
 * @param {number} pixel.spared reasons from which a layer keeps it
 * @param {string[]} pixel.reasons name of each bit
 * @param {string[]} pixel.keepers layers that keep pixels
 * @param {Record<string, string>} [pixel.names] of the images, in words
 */
export function verdict({ rules, values, limit, twoGains, word, spared, reasons, keepers, names = {} }) {
  const prefix = twoGains && hasLowGain(word) ? LOW_GAIN_PREFIX : "";
  const broken = rules.flatMap((rule) => {
    const value = values[rule.image];
    const at = limitOf(rule, limit, prefix);
    if (value === undefined || !breaks(rule, value, at)) return [];
    return [`${names[rule.image] ?? rule.image} ${digits(value)} ${rule.sign} ${at}`];
  });
  const named = (/** @type {number} */ bits) => reasons.filter((_, bit) => (bits >>> bit) & 1);
  const kept = isKept(word);
  const masked = [...(kept ? [] : broken), ...named(word)];
  const would = [...(kept ? broken : []), ...named(spared)];
  const text = masked.length ? `MASKED: ${masked.join(", ")}` : "good";
  if (!would.length) return text;
  const keeper = keepers[(spared >>> 24) - 1] ?? "a layer";
  return `${text} (would be masked: ${would.join(", ")}; kept by ${keeper})`;
}

/**
 * Text for the pixel under the mouse.
 * @param {View} view
 */
export function readOut(view) {
  const { hover, store, model } = view;
  const map = view.map();
  if (!hover || !map) return "Point at a pixel to read it.";
  const flat = view.flatAt(hover.row, hover.col);
  const centre = model.get("centre_mm");
  const place = (/** @type {[number, number]} */ [x, y]) => {
    const radius = Math.hypot(x - centre[0], y - centre[1]);
    const spacing = resolution(radius, model.get("distance_mm"), model.get("wavelength"));
    const text = ` · x ${x.toFixed(2)} mm, y ${y.toFixed(2)} mm`;
    return spacing > 0 ? `${text} · ${spacing.toFixed(2)} Å` : text;
  };
  if (flat < 0) {
    const gap = "gap between sensors";
    return view.inLab() ? gap + place(view.toMm(hover.row, hover.col)) : gap;
  }
  const asics = map.asics ?? store.maps.assembled?.asics;
  /** @type {Record<string, number>} */
  const values = {};
  for (const [name, image] of Object.entries(store.images)) values[name] = image[flat];
  const shown = model
    .get("images")
    .filter(({ name }) => values[name] !== undefined)
    .map(({ name, title }) => ({ name, text: `${title.toLowerCase()} ${digits(values[name])}` }));
  const runs = view.shownRuns().map((name) => ({ name, text: `${name} ${digits(values[name])}` }));
  const read = [...shown, ...runs].map(({ name, text }, n, all) => {
    const unit = view.unitOf(name);
    const next = all[n + 1];
    return next && view.unitOf(next.name) === unit ? text : `${text} ${unit}`;
  });
  const text = verdict({
    rules: model.get("limit_rules").filter((rule) => model.get("rules").includes(rule.image)),
    values,
    limit: (trait) => model.get(trait),
    twoGains: model.get("two_gains"),
    word: store.words.bits?.[flat] ?? 0,
    spared: store.words.spared?.[flat] ?? 0,
    reasons: model.get("bit_names"),
    keepers: model.get("keepers"),
    names: Object.fromEntries(model.get("images").map(({ name, title }) => [name, title.toLowerCase()])),
  });
  return (
    view.detector.describe(flat) +
    (asics ? place(view.detector.position(flat, asics)) : "") +
    ` · ${read.join(", ")} · ${text}`
  );
}
