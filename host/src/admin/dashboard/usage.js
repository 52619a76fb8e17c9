// What an app has used, by library.

import { h } from "./dom.js";
import { bytes, count } from "./format.js";

const GIB_HOUR = 2 ** 30 * 3600;
const COLUMNS = ["Library", "Uptime", "CPU time", "Heap", "Requests", "Received", "Sent", "Cold starts"];

/** The libraries of an app, and what it has used with each. */
export function usage(entries) {
  if (entries.length === 0) return [h("p", { class: "empty" }, "Nothing yet.")];
  return [h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Usage by library" },
    h("table", { class: "facts usage" },
      h("thead", {}, h("tr", {}, COLUMNS.map((text) => h("th", { scope: "col" }, text)))),
      h("tbody", {}, entries.map((entry) => h("tr", {}, h("th", { scope: "row" }, h("code", {}, entry.library)),
        [
          `${count(entry.uptime_seconds)} s`, `${entry.cpu_seconds.toFixed(2)} s`,
          `${(entry.heap_byte_seconds / GIB_HOUR).toFixed(4)} GiB·h`, count(entry.requests),
          bytes(entry.received_bytes), bytes(entry.sent_bytes), count(entry.cold_starts),
        ].map((text) => h("td", {}, text)))))))];
}
