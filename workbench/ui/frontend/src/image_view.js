// Entry point of the detector view.

import { Store } from "./store.js";
import { detectorOf, View } from "./view.js";

/** @import { Model, ViewTraits } from "./types" */
/** @typedef {{ model: Model<ViewTraits>, el: HTMLElement }} Place */

/** Called once for each model; all its views share the arrays. */
export default () => {
  /** @type {Store} */
  let store;
  return {
    /** @param {Place} place */
    initialize({ model }) {
      store = new Store(detectorOf(model));
      const receive = (/** @type {any} */ message, /** @type {DataView[]} */ buffers) => {
        const begun = performance.now();
        if (!store.receive(message, buffers)) return;
        // said once it is drawn and three times as long has been left to everything else
        const say = () => {
          try {
            model.send({ type: "got", name: message.name });
          } catch {
            // the kernel has gone
          }
        };
        const rest = () => setTimeout(say, 3 * (performance.now() - begun));
        requestAnimationFrame(() => setTimeout(rest));
      };
      const changed = () => store.reset();
      model.on("msg:custom", receive);
      model.on("change:detector_facts", changed);
      model.send({ type: "need" });
      return () => {
        model.off("msg:custom", receive);
        model.off("change:detector_facts", changed);
      };
    },
    /** @param {Place} place */
    render({ model, el }) {
      return new View(store, model, el).end;
    },
  };
};
