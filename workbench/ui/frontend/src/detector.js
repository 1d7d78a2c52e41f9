// The detector, from the facts that Python sends; no number of any detector stands here.

/** @import { DetectorFacts, PixelMap, Point } from "./types" */

const STACK_GAP = 4; // pixels between modules in the raw stack

export class Detector {
  /** @param {DetectorFacts} facts */
  constructor(facts) {
    const [down, across] = facts.asicGrid;
    this.name = facts.name;
    this.groups = facts.groups;
    this.groupWord = facts.groupWord;
    this.modules = facts.modules;
    this.rows = facts.rows;
    this.columns = facts.columns;
    this.pixels = facts.modules * facts.rows * facts.columns;
    this.asicsAcross = across;
    this.asicsPerModule = down * across;
    this.asicRows = facts.rows / down;
    this.asicColumns = facts.columns / across;
    this.pixelMm = facts.pixelMm;
  }

  /**
   * Where a pixel is: its group and the place in it of its module, its ASIC in the module, and its
   * row (slow) and column (fast) in the module.
   * @param {number} flat index in the detector's arrays
   */
  address(flat) {
    const module = Math.floor(flat / (this.rows * this.columns));
    const slow = Math.floor(flat / this.columns) % this.rows;
    const fast = flat % this.columns;
    const group = this.groups.findIndex(({ stop }) => module < stop);
    const asic = Math.floor(slow / this.asicRows) * this.asicsAcross + Math.floor(fast / this.asicColumns);
    return { module, slow, fast, group, place: module - this.groups[group].start, asic };
  }

  /**
   * A pixel's address in words.
   * @param {number} flat
   */
  describe(flat) {
    const { slow, fast, group, place, asic } = this.address(flat);
    const { name, start, stop } = this.groups[group];
    const module = stop - start > 1 ? ` sensor ${place}` : "";
    const chip = this.asicsPerModule > 1 ? ` ASIC ${asic}` : "";
    return `${name}${module}${chip} · fast ${fast} slow ${slow}`;
  }

  /**
   * Lab x, y (mm) of a pixel from its ASIC's origin, fast step and slow step.
   * @param {number} flat
   * @param {Float32Array} asics
   * @returns {Point}
   */
  position(flat, asics) {
    const { module, slow, fast, asic } = this.address(flat);
    const across = fast % this.asicColumns;
    const down = slow % this.asicRows;
    return this.#place(asics, module * this.asicsPerModule + asic, across, down);
  }

  /**
   * Corners of the ASICs of a group, lab x, y in mm.
   * @param {number} group
   * @param {Float32Array} asics
   * @returns {Point[][]}
   */
  outlines(group, asics) {
    const { start, stop } = this.groups[group];
    const [right, bottom] = [this.asicColumns - 0.5, this.asicRows - 0.5];
    /** @type {Point[]} */
    const corners = [
      [-0.5, -0.5],
      [right, -0.5],
      [right, bottom],
      [-0.5, bottom],
    ];
    const outlines = [];
    for (let asic = start * this.asicsPerModule; asic < stop * this.asicsPerModule; asic++) {
      outlines.push(corners.map(([across, down]) => this.#place(asics, asic, across, down)));
    }
    return outlines;
  }

  /**
   * @param {Float32Array} asics @param {number} asic @param {number} across @param {number} down
   * @returns {Point}
   */
  #place(asics, asic, across, down) {
    const at = (/** @type {number} */ axis) =>
      asics[6 * asic + axis] + across * asics[6 * asic + 2 + axis] + down * asics[6 * asic + 4 + axis];
    return [at(0), at(1)];
  }

  /**
   * The modules as the files hold them: those of a group below one another, the groups side by
   * side; modules that are groups of their own as nearly square as they come.
   * @returns {PixelMap}
   */
  stack() {
    const largest = Math.max(...this.groups.map(({ start, stop }) => stop - start));
    const alone = largest === 1;
    const across = alone
      ? Math.max(1, Math.round(Math.sqrt((this.modules * this.rows) / this.columns)))
      : this.groups.length;
    const down = alone ? Math.ceil(this.modules / across) : largest;
    const rows = down * (this.rows + STACK_GAP) - STACK_GAP;
    const cols = across * (this.columns + STACK_GAP) - STACK_GAP;
    const index = new Int32Array(rows * cols).fill(-1);
    for (let module = 0; module < this.modules; module++) {
      const group = this.groups.findIndex(({ stop }) => module < stop);
      const place = module - this.groups[group].start;
      const top = (alone ? Math.floor(module / across) : place) * (this.rows + STACK_GAP);
      const left = (alone ? module % across : group) * (this.columns + STACK_GAP);
      for (let row = 0; row < this.rows; row++) {
        const first = (module * this.rows + row) * this.columns;
        for (let column = 0; column < this.columns; column++) {
          index[(top + row) * cols + left + column] = first + column;
        }
      }
    }
    return { rows, cols, index };
  }
}

/**
 * Spacing (Å) that diffracts to a place on the detector; NaN where nothing is known of it.
 * @param {number} radius mm from the beam
 * @param {number} distance mm
 * @param {number} wavelength Å
 */
export function resolution(radius, distance, wavelength) {
  if (!(distance > 0) || !(wavelength > 0) || !(radius > 0)) return Number.NaN;
  return wavelength / (2 * Math.sin(Math.atan2(radius, distance) / 2));
}
