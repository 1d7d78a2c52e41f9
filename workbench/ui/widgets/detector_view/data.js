// Pure functions of the detector view: assembling, pooling to screen pixels, colours, addresses.
// The files of this folder, one after the other, are one ES module (see image_view.py).

const SENSORS = 32, ROWS = 185, COLS = 388, ASIC_COLS = 194;
const IMAGES = ["average", "stddev", "maximum"];
const NAMES = { average: "Average", stddev: "Std deviation", maximum: "Maximum", mask: "Mask" };
const nameOf = (image) => NAMES[image] || `Maximum of ${image}`;

const MAPS = {
  viridis: "44015448186a472d7b4240863b528b33638d2c728e26828e21918c1fa08828ae803fbc735ec96284d44baddc30d8e219fde725",
  cividis: "00224e002e6a1a386f32436d434e6c535a6d61656f6f70737d7c788c88789b9476aba072bcae6ccdbb63dec958f0d846fee838",
  gray: "000000ffffff",
  "gray, inverted": "ffffff000000",
};

/** 256 colours as little-endian RGBA words, interpolated between evenly spaced anchors. */
function colourTable(name) {
  const hex = MAPS[name] || MAPS.viridis;
  const anchors = hex.match(/../g).map((pair) => parseInt(pair, 16));
  const last = anchors.length / 3 - 1;
  const table = new Uint32Array(256);
  for (let i = 0; i < 256; i++) {
    const at = (i / 255) * last, low = Math.min(last - 1, Math.floor(at)), part = at - low;
    const mix = (k) => Math.round(anchors[3 * low + k] * (1 - part) + anchors[3 * low + 3 + k] * part);
    table[i] = (255 << 24) | (mix(2) << 16) | (mix(1) << 8) | mix(0);
  }
  return table;
}

/** Index map of the sensors as the files hold them: 8 rows of sensors, 4 quadrants across. */
function stackMap() {
  const gap = 4, rows = 8 * (ROWS + gap) - gap, cols = 4 * (COLS + gap) - gap;
  const index = new Int32Array(rows * cols).fill(-1);
  for (let sensor = 0; sensor < SENSORS; sensor++) {
    const top = (sensor % 8) * (ROWS + gap), left = Math.floor(sensor / 8) * (COLS + gap);
    for (let r = 0; r < ROWS; r++) {
      for (let c = 0; c < COLS; c++) {
        index[(top + r) * cols + left + c] = (sensor * ROWS + r) * COLS + c;
      }
    }
  }
  return { rows, cols, index };
}

/** Values in the order of an index map: NaN in gaps, -Infinity where a live pixel is not finite. */
function assemble(values, map) {
  const out = new Float32Array(map.index.length);
  for (let k = 0; k < out.length; k++) {
    const i = map.index[k];
    if (i < 0) out[k] = NaN;
    else { const v = values[i]; out[k] = Number.isFinite(v) ? v : -Infinity; }
  }
  return out;
}

function assembleBits(bits, map) {
  const out = new Uint32Array(map.index.length);
  for (let k = 0; k < out.length; k++) { const i = map.index[k]; if (i >= 0) out[k] = bits[i]; }
  return out;
}

/** First and last detector line under each of `size` screen pixels (empty outside the detector). */
function edges(start, perPixel, size, limit) {
  const low = new Int32Array(size), high = new Int32Array(size);
  for (let i = 0; i < size; i++) {
    const a = Math.floor(start + i * perPixel);
    const b = Math.max(a + 1, Math.floor(start + (i + 1) * perPixel));
    low[i] = Math.max(0, Math.min(limit, a));
    high[i] = Math.max(low[i], Math.min(limit, b));
  }
  return { low, high };
}

/**
 * Mean, smallest and largest value under every screen pixel. A threshold applied to the smallest
 * (largest) value marks a screen pixel exactly when any detector pixel under it is below (above):
 * full resolution at the cost of a screen. Gaps give mean NaN, min +Infinity, max -Infinity.
 */
function pool(source, map, xs, ys, quick) {
  const width = xs.low.length, height = ys.low.length, cols = map.cols;
  const mean = new Float32Array(width * height), min = new Float32Array(width * height),
    max = new Float32Array(width * height);
  for (let y = 0; y < height; y++) {
    const r0 = ys.low[y], r1 = quick ? Math.min(r0 + 1, ys.high[y]) : ys.high[y];
    for (let x = 0, k = y * width; x < width; x++, k++) {
      const c0 = xs.low[x], c1 = quick ? Math.min(c0 + 1, xs.high[x]) : xs.high[x];
      let sum = 0, n = 0, lo = Infinity, hi = -Infinity;
      for (let r = r0; r < r1; r++) {
        for (let p = r * cols + c0, stop = r * cols + c1; p < stop; p++) {
          const v = source[p];
          if (v !== v) continue;
          if (v < lo) lo = v;
          if (v > hi) hi = v;
          if (v > -Infinity) { sum += v; n++; }
        }
      }
      mean[k] = n ? sum / n : lo === Infinity ? NaN : -Infinity;
      min[k] = lo;
      max[k] = hi;
    }
  }
  return { mean, min, max };
}

/** Values a limit is compared with: NaN where a layer keeps the pixel, or its gain is another. */
function gated(values, bits, gate) {
  const out = new Float32Array(values.length), low = gate === "low" ? 1 : 0;
  for (let k = 0; k < out.length; k++) {
    const word = bits[k];
    out[k] = word >>> 31 || (gate !== "any" && ((word >>> 30) & 1) !== low) ? NaN : values[k];
  }
  return out;
}

function poolBits(source, map, xs, ys) {
  const width = xs.low.length, height = ys.low.length, cols = map.cols;
  const out = new Uint32Array(width * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0, k = y * width; x < width; x++, k++) {
      let any = 0;
      for (let r = ys.low[y]; r < ys.high[y]; r++) {
        for (let p = r * cols + xs.low[x], stop = r * cols + xs.high[x]; p < stop; p++) any |= source[p] & 0xffffff;
      }
      out[k] = any;
    }
  }
  return out;
}

/** Colour of each screen pixel before the mask is laid over it. */
function paint(mean, low, high, log, table, out) {
  const a = log ? Math.log(Math.max(low, 1e-3)) : low;
  const b = log ? Math.log(Math.max(high, 2e-3)) : high;
  const factor = 255 / (b - a || 1);
  for (let k = 0; k < out.length; k++) {
    const v = mean[k];
    if (v !== v) { out[k] = 0; continue; }
    const at = ((log ? Math.log(Math.max(v, 1e-3)) : v) - a) * factor;
    out[k] = table[at <= 0 ? 0 : at >= 255 ? 255 : at | 0];
  }
  return out;
}

/** Values at two percentiles of the finite pixels (a regular sample of at most 200 000). */
function percentiles(values, low, high) {
  const step = Math.max(1, Math.floor(values.length / 200000));
  const sample = [];
  for (let i = 0; i < values.length; i += step) if (Number.isFinite(values[i])) sample.push(values[i]);
  if (!sample.length) return [0, 1];
  const sorted = Float32Array.from(sample).sort();
  const at = (p) => sorted[Math.min(sorted.length - 1, Math.round((p / 100) * (sorted.length - 1)))];
  const a = at(low), b = at(high);
  return b > a ? [a, b] : [a, a + 1];
}

function pixelAddress(flat) {
  const sensor = Math.floor(flat / (ROWS * COLS)), slow = Math.floor(flat / COLS) % ROWS, fast = flat % COLS;
  return {
    sensor, slow, fast, quadrant: Math.floor(sensor / 8), section: sensor % 8,
    asic: fast < ASIC_COLS ? 0 : 1,
  };
}

/** Lab x, y (mm) of a pixel from its ASIC's origin, fast and slow steps. */
function pixelPosition(flat, asics) {
  const p = pixelAddress(flat), k = 6 * (2 * p.sensor + p.asic), f = p.fast - p.asic * ASIC_COLS;
  return [0, 1].map((i) => asics[k + i] + f * asics[k + 2 + i] + p.slow * asics[k + 4 + i]);
}

function resolution(x, y, distance, wavelength) {
  const radius = Math.hypot(x, y);
  if (!(distance > 0) || !(wavelength > 0) || !(radius > 0)) return NaN;
  return wavelength / (2 * Math.sin(Math.atan2(radius, distance) / 2));
}

function digits(v) {
  if (v === undefined || v === null) return "–";
  if (!Number.isFinite(v)) return String(v);
  const size = Math.abs(v);
  return size !== 0 && (size < 0.01 || size >= 1e6) ? v.toExponential(2) : size < 10 ? v.toFixed(2) : v.toFixed(1);
}
