// Detectors to test with: the facts that Python sends of a CSPAD, and made-up ones.

/** @param {string} name @param {number} groups @param {number} modules of each group */
function facts(name, groups, modules, rows, columns, asicGrid, pixelMm) {
  return {
    name, rows, columns, asicGrid, pixelMm,
    groupWord: modules > 1 ? "quadrant" : "module",
    modules: groups * modules,
    groups: Array.from({ length: groups }, (_, n) => ({
      name: `Q${n}`, start: n * modules, stop: (n + 1) * modules,
    })),
  };
}

export const CSPAD = facts("CSPAD", 4, 8, 185, 388, [1, 2], 0.10992);
/** Modules of 2 × 2 ASICs, four in each group. */
export const SQUARES = facts("squares", 4, 4, 6, 8, [2, 2], 0.1);
/** Every module a group of its own, as Jungfrau has them. */
export const SINGLES = facts("singles", 8, 1, 4, 8, [2, 4], 0.075);
