// Writes the bundles that Python sends to the browser: one module and one style sheet per widget.
// With --check nothing is written; the exit status is 1 if a bundle is not what the sources give.

import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const target = join(here, "..", "static");
const names = [
  "app_root.js",
  "image_view.js",
  "limit_control.js",
  "layer_list.js",
  "maps_view.js",
  "live_figure.js",
  "app.css",
  "image_view.css",
  "limit_control.css",
  "layer_list.css",
  "maps_view.css",
];

const { outputFiles } = await build({
  absWorkingDir: here,
  entryPoints: names.map((name) => join("src", name)),
  outdir: target,
  bundle: true,
  format: "esm",
  target: "es2022",
  charset: "utf8",
  minify: true,
  write: false,
});
const made = new Map(outputFiles.map((file) => [basename(file.path), file.text]));

if (process.argv.includes("--check")) {
  const present = existsSync(target) ? readdirSync(target) : [];
  const wrong = [...new Set([...made.keys(), ...present])].filter(
    (name) => !present.includes(name) || readFileSync(join(target, name), "utf8") !== made.get(name),
  );
  if (wrong.length) {
    console.error(
      `workbench/ui/static is not what the sources give (${wrong.join(", ")}): run "make frontend".`,
    );
    process.exit(1);
  }
} else {
  for (const name of existsSync(target) ? readdirSync(target) : []) rmSync(join(target, name));
  for (const [name, text] of made) writeFileSync(join(target, name), text);
}
