// The versions of an app that the host keeps.

import { h } from "./dom.js";
import { bytes, count, moment, NONE } from "./format.js";

const COLUMNS = ["Version", "State", "Clients", "Created", "By", "Package", "Compiler", "Size", "Note", ""];

/**
 * The versions, newest first, with the traffic of those that serve beside the current one; `promote(id)` makes one the one that
 * serves.
 */
export function versions(promote) {
  return ({ name, list, traffic }) => {
    if (list.length === 0) return [h("p", { class: "empty" }, "None yet: a version is kept when it is pushed, or when a library in the folder of apps.json serves.")];
    return [h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Versions, newest first" },
      h("table", { class: "facts versions" },
        h("thead", {}, h("tr", {}, COLUMNS.map((text) => h("th", { scope: "col" }, text)))),
        h("tbody", {}, list.map((version) => row(name, version, traffic, promote)))))];
  };
}

function row(name, version, traffic, promote) {
  const button = version.state === "current" ? null : h("button", {
    type: "button",
    "aria-label": `Promote ${version.id}`,
    onclick: () => promote(version.id),
  }, "Promote");
  const cells = [
    state(version, traffic), clients(name, version, traffic),
    h("time", { datetime: moment(version.created_ms) }, moment(version.created_ms)),
    version.by ?? NONE, version.package, version.rustc.replace(/^rustc /, ""), bytes(version.size),
    version.failure ?? version.note ?? "", button ?? "",
  ];
  return h("tr", { "data-version": version.id },
    h("th", { scope: "row" }, h("code", {}, version.id)), cells.map((cell) => h("td", {}, cell)));
}

const beside = (version, traffic) => traffic.find((each) => each.version === version.id);

function state(version, traffic) {
  const served = beside(version, traffic);
  const text = served ? `beside: ${served.phase}` : version.state;
  return h("span", { class: "phase", "data-phase": served?.phase ?? PHASES[version.state] ?? null }, text);
}

/** Which part of the clients a version serves, and how it fares. */
function clients(name, version, traffic) {
  if (version.state === "current") {
    const others = traffic.reduce((sum, each) => sum + each.weight, 0);
    return `${Number((100 - others).toFixed(2))} %`;
  }
  const served = beside(version, traffic);
  if (!served) return "";
  const { weight, requests, failures, panics, preview } = served;
  const text = `${weight} %, ${count(requests)} responses, ${count(failures)} failed, ${count(panics)} panics`;
  return preview ? `${text}, preview at /apps/${name}@${version.id}/` : text;
}

/** The colours of phases that fit. */
const PHASES = { current: "serving", failed: "failed" };
