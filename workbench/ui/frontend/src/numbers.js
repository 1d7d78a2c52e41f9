// Numbers as text.

/**
 * A measured value: two digits after the point below 10, else one; very large and small as powers.
 * @param {number | null | undefined} value
 */
export function digits(value) {
  if (value === undefined || value === null) return "–";
  if (!Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  if (size !== 0 && (size < 0.01 || size >= 1e6)) return value.toExponential(2);
  return value.toFixed(size < 10 ? 2 : 1);
}

/**
 * A count, with thin spaces between thousands; nothing if it is not known.
 * @param {number | null | undefined} count
 */
export function grouped(count) {
  if (count === null || count === undefined) return "";
  return String(count).replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

/**
 * With a real minus sign.
 * @param {number} value
 */
export const signed = (value) => String(value).replace("-", "\u2212");

/**
 * The largest of 1, 2, 5, 10, 20 … (or 0.5, 0.2 …) that is not above a value.
 * @param {number} value above 0
 */
export function roundBelow(value) {
  const decade = 10 ** Math.floor(Math.log10(value));
  const step = [5, 2, 1].find((one) => one * decade <= value) ?? 1;
  return Number((step * decade).toPrecision(1));
}
