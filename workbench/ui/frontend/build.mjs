// Writes the bundles that Python sends to the browser: one module and one style sheet per widget, and
// what `workbench lab` adds to JupyterLab.
// With --check nothing is written; the exit status is 1 if a bundle is not what the sources give.

import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
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

const options = {
  absWorkingDir: here,
  outdir: target,
  bundle: true,
  target: "es2022",
  charset: "utf8",
  minify: true,
  write: false,
};
const widgets = await build({
  ...options,
  format: "esm",
  entryPoints: names.map((name) => join("src", name)),
});

// a folder of extensions, as JupyterLab reads them
const lab = join("lab", "cspad-workbench");
const load = "lab_extension.js";
const extension = await build({
  ...options,
  outdir: join(target, lab),
  format: "iife",
  entryPoints: [join("src", load)],
});
const about = {
  name: "cspad-workbench",
  version: "1.0.0",
  description: "Runs a notebook of the workbench when it is opened",
  jupyterlab: { extension: true, _build: { load, extension: "./extension" } },
};

const outputs = [...widgets.outputFiles, ...extension.outputFiles];
const made = new Map(outputs.map((file) => [relative(target, file.path), file.text]));
made.set(join(lab, "package.json"), `${JSON.stringify(about, null, 2)}\n`);

if (process.argv.includes("--check")) {
  const all = existsSync(target) ? readdirSync(target, { recursive: true }) : [];
  const present = all.filter((name) => statSync(join(target, name)).isFile());
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
  rmSync(target, { recursive: true, force: true });
  for (const [name, text] of made) {
    mkdirSync(dirname(join(target, name)), { recursive: true });
    writeFileSync(join(target, name), text);
  }
}
