// What went wrong in an app: its panics, the requests that failed, and the faults that ended the host.

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

/** Who caused a fault, and with which request. */
const culprit = ({ app, generation, worker, thread }) => [
  app ? `${app}, generation ${generation}` : "the host", worker === null || worker === undefined ? `thread ${thread}` : `worker ${worker}`,
].join(" · ");

const request = ({ request: line, request_id: id }) => h("li", {}, h("code", {}, line), h("span", { class: "hint" }, ` request ${id}`));

/** A fault with its request, or those that may have caused it, and its backtrace. */
export const fault = (each) => h("li", {},
  h("p", { class: "what" }, at(each.at_ms), h("b", {}, `${each.signal}: ${each.cause}`)),
  h("p", { class: "hint" }, `${culprit(each)}${each.address ? ` · address ${each.address}` : ""} · process ${each.process}`),
  each.request ? h("ul", { class: "requests" }, request(each.request)) : null,
  each.candidates.length > 0 ? [h("p", { class: "hint" }, "Requests that it had:"), h("ul", { class: "requests" }, each.candidates.map(request))] : null,
  h("details", { "data-key": `${each.at_ms} ${each.process}` }, h("summary", {}, "Backtrace"), h("ol", { class: "backtrace" }, each.backtrace.map(frame))));

/** The faults of an app that ended the host, the newest first. */
export function faults(list) {
  if (list.length === 0) return [h("p", { class: "empty" }, "None.")];
  return [h("ol", { class: "faults scroll", tabindex: "0", "aria-label": "Faults, newest first" }, list.toReversed().map(fault))];
}
