// Shapes of layers in the lab plane (mm): drawn, picked, moved and bent with the mouse.

const LINE_COLOUR = "#E69F00";
const NEAR = 7; // CSS pixels from a line that still count as on it

/** Points on an arc. */
function arc([x, y], radius, from, to, n) {
  return Array.from({ length: n + 1 }, (_, i) => {
    const t = from + ((to - from) * i) / n;
    return [x + radius * Math.cos(t), y + radius * Math.sin(t)];
  });
}
/** Points that can be dragged: corners, ends, or a circle's centre and rim. */
function handles({ kind, points: [a, b], points }) {
  return kind === "rectangle" ? [a, [b[0], a[1]], b, [a[0], b[1]]] : points;
}
/** The line around a shape, closed unless it is still being drawn. */
function outline(shape) {
  const [a, b] = shape.points, half = Math.PI / 2;
  if (shape.kind === "circle") return arc(a, Math.hypot(b[0] - a[0], b[1] - a[1]), 0, 4 * half, 72);
  if (shape.kind !== "line") return handles(shape);
  const along = Math.atan2(b[1] - a[1], b[0] - a[0]), radius = shape.width / 2;
  return [...arc(b, radius, along - half, along + half, 8), ...arc(a, radius, along + half, along + 3 * half, 8)];
}
/** The shape after one of its handles (-1: the whole of it) was dragged from one place to another. */
function bent(shape, handle, from, to) {
  const { kind, points } = shape, moved = ([x, y]) => [x + to[0] - from[0], y + to[1] - from[1]];
  if (handle < 0 || (kind === "circle" && handle === 0)) return { ...shape, points: points.map(moved) };
  if (kind === "rectangle") return { ...shape, points: [handles(shape)[(handle + 2) % 4], to] };
  return { ...shape, points: points.map((p, i) => (i === handle ? to : p)) };
}
/** Distance of a point from the line between two others. */
function distance([x, y], [ax, ay], [bx, by]) {
  const dx = bx - ax, dy = by - ay, square = dx * dx + dy * dy;
  const t = square ? Math.max(0, Math.min(1, ((x - ax) * dx + (y - ay) * dy) / square)) : 0;
  return Math.hypot(x - ax - t * dx, y - ay - t * dy);
}
/** Shape under the mouse, the selected one first, and which of its handles. */
function grab(view, tile, at) {
  if (!view.get("can_draw") || view.layout() === "stack") return null;
  const near = NEAR * view.ratio(), here = [at.x, at.y], selected = view.get("selected");
  const order = [...view.get("shapes")].sort((a, b) => (b.layer === selected) - (a.layer === selected));
  for (const shape of order) {
    const on = (p) => { const [x, y] = view.toScreen(tile, p); return Math.hypot(x - at.x, y - at.y) <= near; };
    const handle = shape.layer === selected ? handles(shape).findIndex(on) : -1;
    const line = outline(shape).map((p) => view.toScreen(tile, p));
    if (handle >= 0 || line.some((p, i) => distance(here, p, line[(i + 1) % line.length]) <= near)) return { shape, handle };
  }
  return null;
}
function drawShape(view, tile, c, shape, ratio) {
  const selected = shape.layer === view.get("selected") && view.get("can_draw");
  const line = outline(shape).map((p) => view.toScreen(tile, p)), path = new Path2D();
  line.forEach(([x, y], n) => (n ? path.lineTo(x, y) : path.moveTo(x, y)));
  if (shape !== view.drawing || shape.kind !== "polygon") path.closePath();
  c.setLineDash(shape.mode && shape.mode !== "union" ? [6 * ratio, 4 * ratio] : []);
  for (const [colour, wide] of [["#000", selected ? 5 : 0], [LINE_COLOUR, selected ? 3 : 2]]) {
    if (!wide) continue;
    c.strokeStyle = colour; c.lineWidth = wide * ratio; c.stroke(path);
  }
  c.setLineDash([]);
  if (!selected) return;
  c.lineWidth = ratio; c.strokeStyle = "#000"; c.fillStyle = "#fff";
  for (const p of handles(shape)) {
    const [x, y] = view.toScreen(tile, p), side = 7 * ratio;
    c.fillRect(x - side / 2, y - side / 2, side, side);
    c.strokeRect(x - side / 2, y - side / 2, side, side);
  }
  c.font = `bold ${12 * ratio}px sans-serif`; c.textAlign = "left"; c.lineWidth = 3 * ratio;
  const [x, y] = line.reduce((a, b) => (b[1] < a[1] ? b : a));
  c.strokeText(shape.name, x + 6 * ratio, y - 6 * ratio); c.fillText(shape.name, x + 6 * ratio, y - 6 * ratio);
}
function drawShapes(view, tile, c, ratio) {
  const { bending, drawing } = view;
  for (const shape of view.get("shapes")) drawShape(view, tile, c, bending && bending.layer === shape.layer ? bending : shape, ratio);
  if (drawing) drawShape(view, tile, c, drawing, ratio);
}
