// The two charts of the host, or of an app.

import { chart } from "./chart.js";
import { h } from "./dom.js";
import { millis, NONE, rate } from "./format.js";

/** Returns the element, and the function that draws a series. */
export function charts() {
  const throughput = chart("Throughput", [
    { name: "rate", label: "requests/s", style: "first" },
    { name: "failures", label: "errors/s", style: "bad" },
  ], (value) => (value === null ? NONE : rate(value)));
  const latency = chart("Latency", [
    { name: "p50", label: "p50", style: "first" },
    { name: "p99", label: "p99", style: "second" },
  ], millis);
  const element = h("div", { class: "charts" }, throughput.element, latency.element);
  const draw = (series) => [throughput, latency].forEach((each) => each.draw(series.points));
  return { element, draw };
}
