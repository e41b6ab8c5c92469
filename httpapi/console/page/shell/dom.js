// Elements. Nothing here, or anywhere in the page, reads text as markup.

/**
 * Makes an element. Properties: `class`, `dataset` and `style` (objects; styles are set by CSSOM, as the
 * Content-Security-Policy asks for), `onclick` and so on (functions), and attributes; an attribute that is
 * null, undefined or false is left out, and true is empty.
 * Children: nodes, texts, numbers, lists of these; null, undefined and false are left out.
 * @param {string} tag
 * @param {Record<string, any>|null} [props]
 * @returns {HTMLElement}
 */
export function el(tag, props, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") node.addEventListener(name.slice(2), value);
    else if (name === "dataset") Object.assign(node.dataset, value);
    else if (name === "style") for (const [key, v] of Object.entries(value)) node.style.setProperty(key, v);
    else node.setAttribute(name, value === true ? "" : value);
  }
  add(node, children);
  return node;
}

/** Replaces all that node has by children, as el takes them. */
export function fill(node, ...children) {
  node.replaceChildren();
  add(node, children);
  return node;
}

function add(node, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

const shapes = {
  hanger: "M6.2 4.6a1.8 1.8 0 1 1 2.6 1.6c-.5.3-.8.6-.8 1.2L2 11.3a.8.8 0 0 0 .5 1.5h11a.8.8 0 0 0 .5-1.5L8 7.4",
  search: "M7 12A5 5 0 1 0 7 2a5 5 0 0 0 0 10zM14 14l-3.4-3.4",
  sun: "M8 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM8 1.2v1.3M8 13.5v1.3M1.2 8h1.3M13.5 8h1.3M3.2 3.2l.9.9M11.9 11.9l.9.9M3.2 12.8l.9-.9M11.9 4.1l.9-.9",
  moon: "M13.6 9.6A6 6 0 0 1 6.4 2.4a6 6 0 1 0 7.2 7.2z",
  help: "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12zM6.3 6.4a1.8 1.8 0 1 1 2.6 1.6c-.6.3-.9.6-.9 1.2M8 11.3v.1",
  person: "M8 8a2.6 2.6 0 1 0 0-5.2A2.6 2.6 0 0 0 8 8zM2.8 13.6a5.3 5.3 0 0 1 10.4 0",
  close: "M4 4l8 8M12 4l-8 8",
  copy: "M6 5.5h6.5a1 1 0 0 1 1 1V13a1 1 0 0 1-1 1H6a1 1 0 0 1-1-1V6.5a1 1 0 0 1 1-1zM2.5 10.5v-7a1 1 0 0 1 1-1h7",
  tick: "M3 8.5l3.3 3.3L13 4.8",
  warn: "M8 2.2L14.5 13.5h-13zM8 6.5v3M8 11.6v.1",
  stop: "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12zM8 5v3.5M8 11v.1",
  clock: "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12zM8 4.6V8l2.3 1.5",
  refresh: "M13.5 8A5.5 5.5 0 1 1 11.8 4M13.5 2v3h-3",
  back: "M9.5 3.5L5 8l4.5 4.5",
  next: "M6.5 3.5L11 8l-4.5 4.5",
  funnel: "M2.5 3.5h11L9.5 8.5V12l-3 1.5v-5z",
  bulb: "M5.8 10.5c-1.2-.8-2-2-2-3.6a4.2 4.2 0 0 1 8.4 0c0 1.6-.8 2.8-2 3.6V12H5.8zM6.5 14h3",
  wifi: "M2 2l12 12M4 8.5a6 6 0 0 1 2.3-1.3M9.8 7.2A6 6 0 0 1 12 8.5M6.2 10.8a2.8 2.8 0 0 1 3.6 0M8 13v.1M1.8 6a9 9 0 0 1 2.4-1.5M7.3 3.8A9 9 0 0 1 14.2 6",
};

/** A drawing of 16 by 16 pixels in the colour of the text; assistive technology passes over it. */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", shapes[name]);
  svg.append(path);
  return svg;
}
