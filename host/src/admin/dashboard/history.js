// What happened to the generations of an app.

import { h } from "./dom.js";
import { moment, time } from "./format.js";

/** The newest generation first; in each, its steps in their order. */
export function timeline(history) {
  if (history.length === 0) return [h("p", { class: "empty" }, "Nothing yet: never loaded.")];
  const generations = new Map();
  for (const step of history) {
    if (!generations.has(step.generation)) generations.set(step.generation, []);
    generations.get(step.generation).push(step);
  }
  const newest = [...generations].sort(([a], [b]) => b - a);
  return [h("ol", { class: "timeline scroll", tabindex: "0", "aria-label": "Generations, newest first" }, newest.map(([number, steps]) =>
    h("li", { class: "generation", "data-generation": number },
      h("h3", {}, `Generation ${number}`, h("span", { class: "phase", "data-phase": steps.at(-1).state }, steps.at(-1).state)),
      h("ol", { class: "steps" }, steps.map(row)))))];
}

function row(step, i, steps) {
  const took = i === 0 ? "" : `+${took_ms(step.at_ms - steps[i - 1].at_ms)}`;
  return h("li", { "data-state": step.state },
    h("time", { datetime: moment(step.at_ms), title: moment(step.at_ms) }, time(step.at_ms)),
    h("b", {}, step.state), h("span", { class: "took" }, took), h("span", { class: "reason" }, step.reason));
}

const took_ms = (ms) => (ms < 1000 ? `${ms} ms` : `${(ms / 1000).toFixed(1)} s`);
