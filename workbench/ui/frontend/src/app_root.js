// What belongs to the whole workbench: its keys stay its own, dialogs close, the focus is kept, and
// a button shows it in the whole screen.

import { element, subscriptions } from "./dom.js";

/** @import { Model } from "./types" */
/** @typedef {{ full_screen_button: boolean }} Traits */

/** JupyterLab leaves keys alone that are pressed in an element with this attribute. */
const SUPPRESS = "data-lm-suppress-shortcuts";
const TEXT = "input:not([type=checkbox], [type=radio], [type=range], [type=button]), textarea";

/**
 * What a key does in the workbench, or in JupyterLab.
 * @param {{ key: string, ctrlKey: boolean, metaKey: boolean, shiftKey: boolean, altKey: boolean }} event
 * @param {boolean} inText whether it is pressed in a text field
 * @returns {"save" | "undo" | "redo" | "close" | ""} "save": JupyterLab saves the notebook
 */
export function meaning({ key, ctrlKey, metaKey, shiftKey, altKey }, inText) {
  if (key === "Escape") return "close";
  if (altKey || !(ctrlKey || metaKey)) return "";
  const letter = key.toLowerCase();
  if (letter === "s" && !shiftKey) return "save";
  if (inText) return "";
  if (letter === "z") return shiftKey ? "redo" : "undo";
  return letter === "y" ? "redo" : "";
}

/** @param {{ model: Model<Traits>, el: HTMLElement }} place */
function render({ model, el }) {
  /** @type {HTMLElement | null} */
  let root = null;
  const traits = subscriptions(model);

  /** @param {KeyboardEvent} event */
  const keys = (event) => {
    const target = /** @type {HTMLElement} */ (event.target);
    if (!root?.contains(target)) return;
    const act = meaning(event, target.matches(TEXT));
    const button = target.closest(".cw-enter-clicks")?.querySelector("button");
    if (button && event.key === "Enter" && target.matches(TEXT)) {
      target.blur(); // what is written reaches the kernel before the click
      target.focus();
      button.click();
    }
    // a figure of matplotlib would act on every key, and keep Tab from leading on
    if (act !== "save" && target.closest(".jupyter-matplotlib")) event.stopPropagation();
    if (act === "save") {
      root.removeAttribute(SUPPRESS);
      setTimeout(() => root?.setAttribute(SUPPRESS, "true"));
    } else if (act === "close") {
      const closers = [...root.querySelectorAll(".cw-closer")];
      const open = closers.filter((node) => node.checkVisibility());
      /** @type {HTMLElement | undefined} */ (open.at(-1))?.click();
    } else if (act) {
      event.preventDefault();
      model.send({ type: act });
    }
  };
  /** The notebook around it takes the focus, by any key that reaches it. */
  const keep = (/** @type {KeyboardEvent} */ event) => {
    if (meaning(event, false) !== "save") event.stopPropagation();
  };
  /** What had the focus is gone, hidden or off: keep it in the workbench, not in the notebook around it. */
  const focus = (/** @type {FocusEvent} */ event) => {
    const before = /** @type {HTMLElement} */ (event.target);
    if (event.relatedTarget || !root?.contains(before)) return;
    requestAnimationFrame(() => {
      const off = before.matches(":disabled") || !before.checkVisibility(); // or no longer in the page
      if (off && document.activeElement === document.body) root?.focus({ preventScroll: true });
    });
  };
  /** A double click on a button that writes or computes means one. */
  const once = (/** @type {MouseEvent} */ event) => {
    const target = /** @type {HTMLElement} */ (event.target);
    if (event.detail > 1 && target.closest(".mod-primary, .mod-warning")) event.stopPropagation();
  };
  const attach = () => {
    root = el.closest(".widget-vbox");
    if (!root) return false;
    root.setAttribute(SUPPRESS, "true");
    root.tabIndex = -1;
    root.addEventListener("focusout", focus);
    root.addEventListener("keydown", keep);
    root.addEventListener("click", once, true); // before the button itself
    return true;
  };
  const waiting = setInterval(() => attach() && clearInterval(waiting), 20); // until it is in the page
  window.addEventListener("keydown", keys, true); // before JupyterLab, which listens on the document

  const button = element(
    "button",
    {
      type: "button",
      class: "cw-full-screen widget-button jupyter-button",
      title: "Show the workbench in the whole screen; Esc brings it back",
      "aria-label": "full screen",
      onclick: () => {
        if (document.fullscreenElement) document.exitFullscreen();
        else root?.requestFullscreen();
      },
    },
    "Full screen",
  );
  el.append(button);
  const show = () => {
    button.hidden = !model.get("full_screen_button");
  };
  traits.when(["full_screen_button"], show);
  show();
  return () => {
    clearInterval(waiting);
    window.removeEventListener("keydown", keys, true);
    root?.removeEventListener("focusout", focus);
    root?.removeEventListener("keydown", keep);
    root?.removeEventListener("click", once, true);
    traits.end();
  };
}

export default { render };
