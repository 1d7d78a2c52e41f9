/** What several modules speak of; types only. */

/** Model of an anywidget: the traits that Python and the browser share. */
export interface Model<Traits> {
  get<Name extends keyof Traits>(name: Name): Traits[Name];
  set<Name extends keyof Traits>(name: Name, value: Traits[Name]): void;
  on(event: string, act: (...data: never[]) => void): void;
  off(event: string, act: (...data: never[]) => void): void;
  save_changes(): void;
  send(content: object): void;
  widget_manager: { get_model(id: string): Promise<Model<Record<string, unknown>>> };
}

export type Point = [number, number];

/** `Detector.facts()` of Python. */
export interface DetectorFacts {
  name: string;
  modules: number;
  rows: number;
  columns: number;
  /** ASICs of a module, down and across. */
  asicGrid: [number, number];
  pixelMm: number;
  /** Modules of each group: from `start` to before `stop`. */
  groups: { name: string; start: number; stop: number }[];
  /** What its groups are called: quadrant, or module. */
  groupWord: string;
}

/** Which detector pixel lies at each place of a picture. */
export interface PixelMap {
  rows: number;
  cols: number;
  /** Flat index of the pixel at each place, row by row; -1 in gaps. */
  index: Int32Array;
  /** Lab x of the first row, lab y of the first column, size of a pixel; all in mm. */
  frame?: [number, number, number];
  /** Origin, fast step and slow step (x, y each, mm) of every ASIC. */
  asics?: Float32Array;
  /** Changes with the map. */
  stamp?: number;
}

/** Part of a picture that is seen: first row and column, and picture pixels per screen pixel. */
export interface Box {
  row: number;
  col: number;
  perPixel: number;
}

/** First and last (exclusive) line of a picture under each screen pixel. */
export interface Edges {
  low: Int32Array;
  high: Int32Array;
}

export interface Pooled {
  mean: Float32Array;
  min: Float32Array;
  max: Float32Array;
}

export interface LimitRule {
  rule: string;
  image: string;
  /** How a masked value compares with the limit. */
  sign: ">" | "<" | "≤";
  /** Name of the trait with the limit, or a number. */
  limit: string | number;
  unit: string;
}

/** Pixels that share limits: all (""), all that no layer keeps ("any"), or those of one gain. */
export type Gate = "" | "any" | "high" | "low";

export interface Shape {
  kind: "rectangle" | "circle" | "polygon" | "line";
  /** Lab x, y in mm: two corners; centre and rim; all corners; two ends. */
  points: Point[];
  layer: number;
  name: string;
  mode?: string;
  /** Of a line, mm. */
  width?: number;
}

export interface ViewTraits {
  detector_facts: DetectorFacts;
  images: { name: string; title: string; of_runs: boolean }[];
  limit_rules: LimitRule[];
  rules: string[];
  two_gains: boolean;
  bit_names: string[];
  keepers: string[];
  tiles: string;
  arrangement: "assembled" | "corrected" | "stack";
  colormap: string;
  log: boolean;
  limits: Record<string, [number, number]>;
  /** Unit of each image; what is not here is in ADU. */
  units: Record<string, string>;
  height: number;
  window: number[];
  show_mask: boolean;
  mask_opacity: number;
  show_rings: boolean;
  /** Pixels of the single event that are peaks. */
  peaks: number[];
  /** Rings about the ring centre of each group, instead of the beam. */
  rings_by_group: boolean;
  show_outlines: boolean;
  blink: boolean;
  names: Record<string, string>;
  runs: string[];
  has_bright_average: boolean;
  event: string;
  mode: string;
  can_draw: boolean;
  distance_mm: number;
  wavelength: number;
  centre_mm: Point;
  rings: [number, string][];
  group_offsets_px: Point[];
  shapes: Shape[];
  selected: number;
  /** The limits of the rules: `limit`, and `low_` + `limit` for pixels of low gain. */
  // biome-ignore lint/suspicious/noExplicitAny: the names come from the table of rules
  [limit: string]: any;
}
