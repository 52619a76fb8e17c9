// Elements, made without markup: what an app or a log says can only ever become text.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** An element with attributes, listeners (`onclick`) and children. */
export function h(tag, properties = {}, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/** The same of SVG. */
export function s(tag, properties = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

/** Sets a text, if it is another one: what stays the same costs no layout, and keeps a selection. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Sets an attribute, if it is another one; `null` takes it away. */
export function setAttribute(element, name, value) {
  if (value === null) element.removeAttribute(name);
  else if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

let ids = 0;

/** An id that no other element has. */
export function newId() {
  ids += 1;
  return `id${ids}`;
}

/** A section with a heading that names it. */
export function section(title, ...children) {
  const id = newId();
  return h("section", { "aria-labelledby": id }, h("h2", { id }, title), ...children);
}

/**
 * A drawing function that does nothing while what it draws stays the same.
 * `draw` gets the data; what it returns takes the place of what is in `element`. Where the reader is in it stays: how far
 * a part is scrolled, whether it has the focus, and which `details` with a `data-key` are open.
 */
export function drawn(element, draw) {
  let before;
  return (data) => {
    const now = JSON.stringify(data);
    if (now === before) return;
    before = now;
    const scrolled = element.querySelector(".scroll");
    const [top, isFocused] = [scrolled?.scrollTop ?? 0, scrolled !== null && scrolled === document.activeElement];
    const open = new Map([...element.querySelectorAll("details[data-key]")].map((each) => [each.dataset.key, each.open]));
    element.replaceChildren(...[draw(data)].flat());
    for (const each of element.querySelectorAll("details[data-key]")) each.open = open.get(each.dataset.key) ?? each.open;
    const next = element.querySelector(".scroll");
    if (next) next.scrollTop = top;
    if (isFocused) next?.focus({ preventScroll: true });
  };
}
