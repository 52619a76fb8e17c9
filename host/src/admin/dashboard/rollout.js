// How the rollout of a version fares.

import { h } from "./dom.js";
import { count, millis, moment } from "./format.js";

/** The last rollout of an app, with what the verdict is made of; nothing without one. */
export function rollout(status) {
  if (!status) return [];
  const { version, state, reason, started_ms: startedMs, steps, step, evidence } = status;
  const where = state === "running" ? `step ${step} of ${steps.length}, ${steps[step - 1] ?? 0} % of the clients` : state;
  return [
    h("p", { class: "rollout", role: "status", "data-state": state },
      "Rollout of ", h("code", {}, version), `: ${where}${reason ? `: ${reason}` : ""}. It began at ${moment(startedMs)}.`),
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "What the rollout compares" },
      h("table", { class: "facts" },
        h("thead", {}, h("tr", {}, ["In this step", "Responses", "Failed", "Panics", "p95"].map((text) => h("th", { scope: "col" }, text)))),
        h("tbody", {}, row("Current version", status.current), row("New version", status.new),
          h("tr", {}, h("th", { scope: "row" }, "Evidence, 1 aborts"), ["", evidence.errors.toFixed(2), evidence.panics.toFixed(2), evidence.times.toFixed(2)].map((text) => h("td", {}, text)))))),
  ];
}

function row(name, { requests, failures, panics, p95_ms: p95 }) {
  const cells = [count(requests), count(failures), count(panics), millis(p95)];
  return h("tr", {}, h("th", { scope: "row" }, name), cells.map((text) => h("td", {}, text)));
}
