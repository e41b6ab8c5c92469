// A modal dialog. The browser keeps the focus in it, closes it by Escape, and gives the focus back.

import { el, icon } from "./dom.js";

let made = 0;

/**
 * @param {string} title
 * @param {{class?: string, closed?: () => void}} [options]
 * @returns {{node: HTMLDialogElement, title: HTMLElement, body: HTMLElement, footer: HTMLElement, close: () => void}} fill title, body and footer
 */
export function openDialog(title, options = {}) {
  const id = `dialog-${++made}`;
  const heading = el("h2", { id }, title);
  const body = el("div", { class: "in" });
  const footer = el("footer");
  const node = el("dialog", { class: options.class, "aria-labelledby": id },
    el("header", null, heading,
      el("button", { type: "button", class: "button quiet square push", "aria-label": "Close", onclick: close }, icon("close"))),
    body, footer);
  node.addEventListener("close", () => {
    node.remove();
    options.closed?.();
  });
  node.addEventListener("pointerdown", (event) => {
    if (event.target === node && !inside(node, event)) close();
  });
  document.body.append(node);
  node.showModal();
  function close() {
    node.close();
  }
  return { node, title: heading, body, footer, close };
}

function inside(node, event) {
  const box = node.getBoundingClientRect();
  return event.clientX >= box.left && event.clientX <= box.right && event.clientY >= box.top && event.clientY <= box.bottom;
}
