// What went wrong in an app: its panics, and the requests that failed.

import { h } from "./dom.js";
import { moment, time } from "./format.js";

const at = (ms) => h("time", { datetime: moment(ms), title: moment(ms) }, time(ms));

/** The last panics, the newest first, each with its backtrace. */
export function panics({ panics, total }) {
  if (total === 0) return [h("p", { class: "empty" }, "None.")];
  const kept = total > panics.length ? [h("p", { class: "hint" }, `The last ${panics.length} of ${total}.`)] : [];
  return [...kept, h("ol", { class: "faults scroll", tabindex: "0", "aria-label": "Panics, newest first" }, panics.toReversed().map((panic, i) =>
    h("li", {},
      h("p", { class: "what" }, at(panic.at_ms), h("b", {}, panic.message)),
      h("p", { class: "hint" }, `${panic.location} · generation ${panic.generation}`),
      panic.backtrace.length === 0
        ? h("p", { class: "hint" }, "No backtrace: the host is running with RUST_BACKTRACE=0.")
        : h("details", { open: i === 0, "data-key": `${panic.at_ms} ${panic.message}` }, h("summary", {}, "Backtrace"), h("ol", { class: "backtrace" }, panic.backtrace.map(frame))))))];
}

const frame = ({ function: name, location }) => h("li", {}, h("code", {}, name), location ? h("span", { class: "hint" }, ` ${location}`) : null);

/** The last failures, the newest first. */
export function failures(list) {
  if (list.length === 0) return [h("p", { class: "empty" }, "None.")];
  return [h("ol", { class: "faults scroll", tabindex: "0", "aria-label": "Failed requests, newest first" }, list.toReversed().map((failure) =>
    h("li", {},
      h("p", { class: "what" }, at(failure.at_ms), h("span", { class: "status", "data-class": "5" }, String(failure.status)), h("code", {}, failure.request)),
      h("p", { class: "detail" }, failure.detail),
      h("p", { class: "hint" }, `request ${failure.request_id}`))))];
}
