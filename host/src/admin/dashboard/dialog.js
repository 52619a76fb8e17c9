// Questions that wait for an answer.

import { h, newId } from "./dom.js";

/**
 * Asks, and resolves to whether it was agreed to; Escape is a no. The browser keeps the focus inside and gives it back.
 * `first` is what has the focus; without it, the button that changes nothing.
 */
export function open(title, content, { confirm, isDangerous = false, first = null }) {
  return new Promise((resolve) => {
    const id = newId();
    let agreed = false;
    const cancel = h("button", { type: "button", onclick: () => dialog.close() }, "Cancel");
    const form = h("form", {
      onsubmit: (event) => {
        event.preventDefault();
        agreed = true;
        dialog.close();
      },
    }, h("h2", { id }, title), ...content, h("div", { class: "buttons" }, cancel,
      h("button", { type: "submit", class: isDangerous ? "danger" : "primary" }, confirm)));
    const dialog = h("dialog", { "aria-labelledby": id }, form);
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(agreed);
    });
    document.body.append(dialog);
    dialog.showModal();
    (first ?? cancel).focus();
  });
}

/** Asks before something that is felt outside. */
export const confirm = (title, text, button) => open(title, [h("p", {}, text)], { confirm: button, isDangerous: true });
