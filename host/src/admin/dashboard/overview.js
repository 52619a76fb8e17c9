// The page of the host: figures, charts, the apps.

import { charts } from "./charts.js";
import { drawn, h, section, setAttribute, setText } from "./dom.js";
import { fault } from "./faults.js";
import { bytes, count, millis, rate } from "./format.js";
import { phaseOf, store } from "./store.js";
import { AppsTable } from "./table.js";

/** Returns the page: its `title`, its `element`, and `close`. */
export function overview() {
  const heading = h("h1", { tabindex: "-1" }, "Apps");
  const tiles = figures();
  const both = charts();
  const table = new AppsTable(store);
  const pinned = h("div");
  const drawPinned = drawn(pinned, (list) => (list.length === 0 ? [] : section("Pinned generations",
    h("p", { class: "hint" }, "These generations could not be unloaded; they use memory until the host restarts."),
    h("ul", { class: "pinned" }, list.map((each) => h("li", {}, h("b", {}, `${each.app}, generation ${each.generation}`), `: ${each.reason}`))))));
  const ended = h("div");
  const drawEnded = drawn(ended, (last) => (last === null ? [] : section("The previous process ended with a fault",
    h("ol", { class: "faults" }, fault(last)))));
  const element = h("div", { class: "page" }, heading, ended, tiles.element,
    h("section", { "aria-label": "Throughput and latency of the host" }, both.element),
    h("section", { "aria-label": "All apps" }, table.element), pinned);

  const list = () => {
    table.arrange();
    drawPinned(store.pinned);
    drawEnded(store.fault);
    tiles.draw();
  };
  const reading = () => {
    both.draw(store.series);
    table.update();
    tiles.draw();
  };
  store.addEventListener("list", list);
  store.addEventListener("reading", reading);
  list();
  reading();
  store.loadHistory();
  const close = () => {
    store.removeEventListener("list", list);
    store.removeEventListener("reading", reading);
  };
  return { title: "Apps", element, heading, close };
}

/** The host in large numbers. */
function figures() {
  const figure = (label) => {
    const [value, more] = [h("dd"), h("dd", { class: "more" })];
    return { value, more, element: h("div", { class: "figure" }, h("dt", {}, label), value, more) };
  };
  const [serving, requests, latency, errors, flight, heap] =
    ["Serving", "Requests/s", "Latency p50", "Errors/s", "In flight", "Heaps"].map(figure);
  const all = [serving, requests, latency, errors, flight, heap];
  const element = h("dl", { class: "figures" }, all.map((each) => each.element));

  function draw() {
    const apps = [...store.apps.values()];
    const total = (name) => apps.reduce((sum, app) => sum + (app.stats?.[name] ?? 0), 0);
    const inPhase = (phase) => apps.filter((app) => phaseOf(app) === phase).length;
    const set = (each, value, more) => {
      setText(each.value, value);
      setText(each.more, more);
    };
    const last = store.series.points.at(-1);
    const failed = inPhase("failed");
    set(serving, count(inPhase("serving")), failed ? `${failed} failed, of ${count(apps.length)} apps` : `of ${count(apps.length)} apps`);
    set(requests, rate(last?.rate ?? 0), `${count(total("requests"))} in total`);
    set(latency, millis(store.series.recent("p50")), `p99 ${millis(store.series.recent("p99"))}`);
    set(errors, rate(last?.failures ?? 0), `${count(total("failures"))} in total`);
    set(flight, count(total("in_flight")), `${count(total("waiting"))} waiting`);
    set(heap, bytes(total("live_bytes")), store.host ? `${count(store.host.heaps)} heaps` : "");
    setAttribute(serving.element, "data-mark", failed ? "bad" : null);
    setAttribute(errors.element, "data-mark", last?.failures > 0 ? "bad" : null);
  }
  return { element, draw };
}
