// Shapes in the lab plane (mm): their outlines and handles, and what dragging one of them does.

/** @import { Point, Shape } from "./types" */

/** @typedef {Pick<Shape, "kind" | "points" | "width">} Outlined */

/**
 * @param {Point} centre @param {number} radius @param {number} from @param {number} to radians
 * @param {number} parts
 * @returns {Point[]}
 */
function arc([x, y], radius, from, to, parts) {
  return Array.from({ length: parts + 1 }, (_, i) => {
    const angle = from + ((to - from) * i) / parts;
    return [x + radius * Math.cos(angle), y + radius * Math.sin(angle)];
  });
}

/**
 * Points that can be dragged: corners, ends, or a circle's centre and rim.
 * @param {Outlined} shape
 * @returns {Point[]}
 */
export function handles({ kind, points }) {
  const [first, second] = points;
  return kind === "rectangle" ? [first, [second[0], first[1]], second, [first[0], second[1]]] : points;
}

/**
 * The line around a shape; a line is as wide as what it masks.
 * @param {Outlined} shape
 * @returns {Point[]}
 */
export function outline(shape) {
  const [first, second] = shape.points;
  const quarter = Math.PI / 2;
  if (shape.kind === "circle") {
    return arc(first, Math.hypot(second[0] - first[0], second[1] - first[1]), 0, 4 * quarter, 72);
  }
  if (shape.kind !== "line") return handles(shape);
  const along = Math.atan2(second[1] - first[1], second[0] - first[0]);
  const radius = (shape.width ?? 0) / 2;
  return [
    ...arc(second, radius, along - quarter, along + quarter, 8),
    ...arc(first, radius, along + quarter, along + 3 * quarter, 8),
  ];
}

/**
 * The shape after one of its handles (-1: the whole of it) was dragged from one place to another.
 * @template {Outlined} S
 * @param {S} shape
 * @param {number} handle
 * @param {Point} from
 * @param {Point} to
 * @returns {S}
 */
export function bent(shape, handle, from, to) {
  const { kind, points } = shape;
  /** @param {Point} point @returns {Point} */
  const moved = ([x, y]) => [x + to[0] - from[0], y + to[1] - from[1]];
  if (handle < 0 || (kind === "circle" && handle === 0)) {
    return { ...shape, points: points.map(moved) };
  }
  if (kind === "rectangle") {
    return { ...shape, points: [handles(shape)[(handle + 2) % 4], to] };
  }
  return { ...shape, points: points.map((point, i) => (i === handle ? to : point)) };
}

/**
 * Distance of a point from the line between two others.
 * @param {Point} point
 * @param {Point} from
 * @param {Point} to
 */
export function distance([x, y], [ax, ay], [bx, by]) {
  const [dx, dy] = [bx - ax, by - ay];
  const square = dx * dx + dy * dy;
  const along = square ? Math.max(0, Math.min(1, ((x - ax) * dx + (y - ay) * dy) / square)) : 0;
  return Math.hypot(x - ax - along * dx, y - ay - along * dy);
}

/**
 * Whether a point lies within a closed line.
 * @param {Point} point
 * @param {Point[]} line
 */
export function encloses([x, y], line) {
  let inside = false;
  line.forEach(([ax, ay], i) => {
    const [bx, by] = line[(i + 1) % line.length];
    if (ay > y !== by > y && x < ax + ((y - ay) / (by - ay)) * (bx - ax)) inside = !inside;
  });
  return inside;
}

/**
 * Shape at a place and what of it: a handle (of the selected one only), its line (-1), or its
 * inside (null). What was drawn last lies on top, the selected shape above all.
 * @template {Shape} S
 * @param {S[]} shapes
 * @param {number} selected layer
 * @param {Point} at
 * @param {number} near how far from a line still counts as on it
 * @returns {{ shape: S, handle: number | null } | null}
 */
export function hit(shapes, selected, at, near) {
  const isSelected = (/** @type {S} */ shape) => shape.layer === selected;
  const order = [...shapes].reverse().sort((a, b) => Number(isSelected(b)) - Number(isSelected(a)));
  for (const shape of order) {
    const close = (/** @type {Point} */ [x, y]) => Math.hypot(x - at[0], y - at[1]) <= near;
    const handle = isSelected(shape) ? handles(shape).findIndex(close) : -1;
    if (handle >= 0) return { shape, handle };
    const line = outline(shape);
    if (line.some((point, i) => distance(at, point, line[(i + 1) % line.length]) <= near)) {
      return { shape, handle: -1 };
    }
  }
  const inside = order.find((shape) => encloses(at, outline(shape)));
  return inside ? { shape: inside, handle: null } : null;
}
