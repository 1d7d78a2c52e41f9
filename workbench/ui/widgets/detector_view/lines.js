// What lies over the pictures: outlines and names of quadrants, rings, shapes, numbers, the other cursor.

/** Outline of the sensors' ASICs of a quadrant, and its middle. */
function quadrantPath(view, tile, q) {
  const path = new Path2D(), { asics } = view.map();
  let x = 0, y = 0;
  for (let a = 16 * q; a < 16 * q + 16; a++) {
    const k = 6 * a;
    const corner = (i, j) => view.toScreen(tile, [0, 1].map((d) => asics[k + d] + i * asics[k + 2 + d] + j * asics[k + 4 + d]));
    [[-0.5, -0.5], [193.5, -0.5], [193.5, 184.5], [-0.5, 184.5]].forEach(([i, j], n) => {
      const [px, py] = corner(i, j);
      x += px / 64; y += py / 64;
      n ? path.lineTo(px, py) : path.moveTo(px, py);
    });
    path.closePath();
  }
  return { path, x, y };
}

function drawOutline(c, { path, x, y }, name, ratio) {
  c.strokeStyle = "rgba(255,255,255,0.75)"; c.lineWidth = ratio; c.stroke(path);
  c.font = `bold ${14 * ratio}px sans-serif`; c.textAlign = "center"; c.lineWidth = 3 * ratio;
  c.strokeStyle = "#000"; c.strokeText(name, x, y);
  c.fillStyle = "#fff"; c.fillText(name, x, y);
}

/** Rings of the calibrant around a quadrant's own centre. */
function drawRings(view, tile, c, { path }, q, ratio) {
  const { get } = view, pitch = view.map().frame[2], centre = get("centre_mm");
  const offset = view.layout() === "assembled" ? get("quadrant_offsets")[q] || [0, 0] : [0, 0];
  const [x, y] = view.toScreen(tile, [0, 1].map((d) => centre[d] + offset[d] * pitch));
  const scale = 1 / (pitch * view.boxOf(tile).perPixel);
  c.save(); c.clip(path); c.setLineDash([3 * ratio, 7 * ratio]);
  let last = -Infinity; // rings closer than 22 screen pixels would hide the picture: zoom in
  for (const [radius] of get("rings")) {
    if ((radius * scale - last) / ratio < 22) continue;
    last = radius * scale;
    for (const [colour, wide] of [["rgba(0,0,0,0.8)", 2.2], ["#fff", 1.2]]) {
      c.beginPath(); c.strokeStyle = colour; c.lineWidth = wide * ratio;
      c.arc(x, y, last, 0, 2 * Math.PI); c.stroke();
    }
  }
  c.restore();
}

/** The values themselves, once a pixel is large enough to hold one. */
function drawNumbers(view, tile, c, ratio) {
  const b = view.boxOf(tile), m = view.map(), values = view.store.arrays[tile.name], size = 1 / b.perPixel;
  if (!values || size < 40 * ratio) return;
  c.font = `${11 * ratio}px sans-serif`; c.textAlign = "center"; c.textBaseline = "middle"; c.lineWidth = 3 * ratio;
  const last = (start, length, limit) => Math.min(limit, Math.ceil(start + length * b.perPixel));
  for (let r = Math.max(0, Math.floor(b.row)); r < last(b.row, tile.lines.height, m.rows); r++) {
    for (let k = Math.max(0, Math.floor(b.col)); k < last(b.col, tile.lines.width, m.cols); k++) {
      const flat = m.index[r * m.cols + k];
      if (flat < 0) continue;
      const text = digits(values[flat]), x = (k + 0.5 - b.col) / b.perPixel, y = (r + 0.5 - b.row) / b.perPixel;
      c.strokeStyle = "#000"; c.strokeText(text, x, y);
      c.fillStyle = "#fff"; c.fillText(text, x, y);
    }
  }
  c.textBaseline = "alphabetic";
}

function drawLines(view, tile) {
  const { get } = view, c = tile.lines.getContext("2d"), ratio = view.ratio();
  c.clearRect(0, 0, tile.lines.width, tile.lines.height);
  if (!view.screen.pooled(tile.name) && tile.name !== "mask") {
    c.fillStyle = "#ddd"; c.font = `${13 * ratio}px sans-serif`; c.textAlign = "center";
    c.fillText("no image yet", tile.lines.width / 2, tile.lines.height / 2);
    return;
  }
  drawNumbers(view, tile, c, ratio);
  if (view.layout() === "stack") return;
  if (view.map().asics && (get("show_outlines") || get("show_rings"))) {
    for (let q = 0; q < 4; q++) {
      const outline = quadrantPath(view, tile, q);
      if (get("show_outlines")) drawOutline(c, outline, `Q${q}`, ratio);
      if (get("show_rings")) drawRings(view, tile, c, outline, q, ratio);
    }
  }
  drawShapes(view, tile, c, ratio);
  const { hover } = view, b = view.boxOf(tile);
  if (hover && (hover.tile !== tile || hover.byKeys)) { // the same place on the other images
    c.strokeStyle = "#fff"; c.lineWidth = ratio;
    c.beginPath(); c.arc((hover.col + 0.5 - b.col) / b.perPixel, (hover.row + 0.5 - b.row) / b.perPixel, 5 * ratio, 0, 7); c.stroke();
  }
}
