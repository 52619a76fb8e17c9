// The settings of an app that are in force, and where they come from.

import { h } from "./dom.js";

/** Those that somebody has set come first. */
export function settings(settings) {
  const all = Object.entries(settings).sort(([, a], [, b]) => (a.origin === "built-in") - (b.origin === "built-in"));
  return [h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Settings in force" },
    h("table", { class: "facts settings" },
      h("thead", {}, h("tr", {}, ["Setting", "Value", "From"].map((text) => h("th", { scope: "col" }, text)))),
      h("tbody", {}, all.map(([name, { value, origin }]) => h("tr", { "data-origin": origin },
        h("th", { scope: "row" }, name), h("td", {}, h("code", {}, JSON.stringify(value))), h("td", {}, origin))))))];
}
