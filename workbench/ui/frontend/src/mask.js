// The threshold rules, as Python's table of rules states them, and the screen pixels they mark.

/** @import { LimitRule } from "./types" */

/** Flag of a screen pixel that a layer masks; each rule has a flag of its own below it. */
export const LAYER_FLAG = 1 << 15;
/** Before the name of the trait with the limit of the low-gain pixels. */
export const LOW_GAIN_PREFIX = "low_";

/**
 * Whether a value breaks a rule; one that is not a number does, except of an upper limit.
 * @param {LimitRule} rule
 * @param {number} value
 * @param {number} limit
 */
export function breaks({ sign }, value, limit) {
  return sign === ">" ? value > limit : sign === "<" ? !(value >= limit) : !(value > limit);
}

/** Which pooled value decides whether any pixel breaks a rule. @param {LimitRule} rule */
export const decisive = ({ sign }) => (sign === ">" ? "max" : "min");

/**
 * Limit of a rule.
 * @param {LimitRule} rule
 * @param {(trait: string) => number} get
 * @param {string} prefix of the trait: "" or `LOW_GAIN_PREFIX`
 */
export function limitOf({ limit }, get, prefix = "") {
  return typeof limit === "number" ? limit : get(prefix + limit);
}

/**
 * Set a flag where values break a rule, and keep only the flags in `keep` elsewhere.
 * @param {LimitRule["sign"]} sign
 * @param {Float32Array} values
 * @param {number} limit
 * @param {Uint16Array} flags
 * @param {number} flag
 * @param {number} keep
 */
export function mark(sign, values, limit, flags, flag, keep) {
  if (sign === ">") {
    for (let k = 0; k < flags.length; k++) {
      flags[k] = values[k] > limit ? flags[k] | flag : flags[k] & keep;
    }
  } else if (sign === "<") {
    for (let k = 0; k < flags.length; k++) {
      flags[k] = values[k] < limit ? flags[k] | flag : flags[k] & keep;
    }
  } else {
    for (let k = 0; k < flags.length; k++) {
      flags[k] = values[k] <= limit ? flags[k] | flag : flags[k] & keep;
    }
  }
}

/**
 * Set a flag where words are not 0, and clear it elsewhere.
 * @param {Uint32Array} words
 * @param {Uint16Array} flags
 * @param {number} flag
 */
export function markWords(words, flags, flag) {
  for (let k = 0; k < flags.length; k++) {
    flags[k] = words[k] ? flags[k] | flag : flags[k] & ~flag;
  }
}

/**
 * Clear a flag everywhere.
 * @param {Uint16Array} flags
 * @param {number} flag
 */
export function clear(flags, flag) {
  for (let k = 0; k < flags.length; k++) flags[k] &= ~flag;
}
