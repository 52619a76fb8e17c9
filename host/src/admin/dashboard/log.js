// The log of an app, as it grows.

import { streams } from "./api.js";
import { h, setText } from "./dom.js";
import { moment, time } from "./format.js";
import { follow } from "./sse.js";

/** So many records are shown. */
const SHOWN = 500;
const SILENCE_MS = 40_000;

/** Returns the element, and `close`. */
export function logTail(name) {
  // Not a live region: a busy app would never let a screen reader finish.
  const lines = h("div", { class: "log scroll", role: "log", "aria-live": "off", tabindex: "0", "aria-label": `Log of ${name}, the newest last` });
  const state = h("p", { class: "hint" }, "Nothing yet.");
  let waiting = [];
  let frame = null;

  function flush() {
    frame = null;
    // Who has scrolled up reads there; the others see what comes.
    const isAtEnd = lines.scrollHeight - lines.scrollTop - lines.clientHeight < 24;
    lines.append(...waiting.slice(-SHOWN));
    waiting = [];
    while (lines.children.length > SHOWN) lines.firstChild.remove();
    if (isAtEnd) lines.scrollTop = lines.scrollHeight;
    setText(state, `${lines.children.length} records. New records appear automatically; scroll up to stop following.`);
  }

  function add(line) {
    waiting.push(line);
    if (waiting.length > 2 * SHOWN) waiting = waiting.slice(-SHOWN);
    frame ??= requestAnimationFrame(flush);
  }

  const close = follow(streams.log(name), SILENCE_MS, {
    open: () => {
      // The host sends the last records again; after a restart they are others.
      waiting = [];
      lines.replaceChildren();
    },
    event: (kind, record) => add(kind === "record" ? line(record) : h("p", { class: "missed" }, `${record} records were too fast for this page.`)),
    lost: () => setText(state, "Not following the log."),
  });
  return { element: h("div", {}, lines, state), close };
}

function text(value) {
  return typeof value === "string" ? value : JSON.stringify(value);
}

function pairs(fields) {
  return Object.entries(fields).map(([name, value]) => `${name}=${text(value)}`);
}

/** The fields of a record, and the spans that it was written in, as in `atoll logs`. */
function details({ fields = {}, spans = [] }) {
  const path = spans.map(({ name, ...rest }) => {
    const inside = pairs(rest).join(" ");
    return inside ? `${name}{${inside}}` : name;
  });
  return [...pairs(fields), ...(path.length ? [`spans=${path.join(":")}`] : [])].join(" ");
}

function line(record) {
  return h("p", { "data-level": record.level },
    h("time", { datetime: moment(record.at_ms) }, time(record.at_ms)), " ",
    h("span", { class: "level-name" }, record.level), " ",
    h("span", { class: "hint" }, record.target), " ", record.message, " ",
    h("span", { class: "hint" }, details(record)));
}
