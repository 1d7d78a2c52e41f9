// Entry of the extension for JupyterLab, in the form in which it loads what is not built into it
// (the container of webpack's module federation).

import { plugin } from "./run_on_opening.js";

const { _JUPYTERLAB = {} } = /** @type {any} */ (window);
Object.assign(window, { _JUPYTERLAB });
_JUPYTERLAB["cspad-workbench"] = {
  init() {},
  get: async () => () => ({ __esModule: true, default: plugin }),
};
