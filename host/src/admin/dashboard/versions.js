// The versions of an app that the host keeps.

import { h } from "./dom.js";
import { bytes, moment, NONE } from "./format.js";

const COLUMNS = ["Version", "State", "Created", "By", "Package", "Compiler", "Size", "Note", ""];

/** The versions, newest first; `promote(id)` makes one the one that serves. */
export function versions(promote) {
  return (list) => {
    if (list.length === 0) return [h("p", { class: "empty" }, "None yet: a version is kept when it is pushed, or when a library in the folder of apps.json serves.")];
    return [h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Versions, newest first" },
      h("table", { class: "facts versions" },
        h("thead", {}, h("tr", {}, COLUMNS.map((text) => h("th", { scope: "col" }, text)))),
        h("tbody", {}, list.map((version) => row(version, promote)))))];
  };
}

function row(version, promote) {
  const button = version.state === "current" ? null : h("button", {
    type: "button",
    "aria-label": `Promote ${version.id}`,
    onclick: () => promote(version.id),
  }, "Promote");
  const cells = [
    h("span", { class: "phase", "data-phase": PHASES[version.state] ?? null }, version.state),
    h("time", { datetime: moment(version.created_ms) }, moment(version.created_ms)),
    version.by ?? NONE, version.package, version.rustc.replace(/^rustc /, ""), bytes(version.size),
    version.failure ?? version.note ?? "", button ?? "",
  ];
  return h("tr", { "data-version": version.id },
    h("th", { scope: "row" }, h("code", {}, version.id)), cells.map((cell) => h("td", {}, cell)));
}

/** The colours of phases that fit. */
const PHASES = { current: "serving", failed: "failed" };
