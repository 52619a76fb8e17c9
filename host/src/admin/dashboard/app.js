// The page of one app.

import { actions } from "./actions.js";
import { details, usageOf, versionsOf } from "./api.js";
import { charts } from "./charts.js";
import { drawn, h, section, setAttribute, setText } from "./dom.js";
import { failures, faults, panics } from "./faults.js";
import { bytes, count, millis, NONE, rate } from "./format.js";
import { timeline } from "./history.js";
import { invokeBox } from "./invoke.js";
import { logTail } from "./log.js";
import { rollout } from "./rollout.js";
import { settings } from "./settings.js";
import { store } from "./store.js";
import { usage } from "./usage.js";
import { versions } from "./versions.js";

const SOON_MS = 200;
/** How often what versions beside the current one do is asked for. */
const SPLIT_MS = 2_000;

/** Returns the page: its `title`, its `element`, and `close`. */
export function appPage(name) {
  const heading = h("h1", { tabindex: "-1" }, name);
  const phase = h("span", { class: "phase" });
  const facts = h("dl", { class: "facts" });
  const source = h("p", { class: "source" });
  const both = charts();
  const log = logTail(name);
  const buttons = actions(name, refresh);
  const [history, panicked, failed, faulted, used, set, kept, rolled] = Array.from({ length: 8 }, () => h("div"));
  const missing = h("p", { class: "empty", role: "status" });
  const draws = {
    history: drawn(history, timeline),
    panics: drawn(panicked, panics),
    failures: drawn(failed, failures),
    faults: drawn(faulted, faults),
    usage: drawn(used, usage),
    settings: drawn(set, settings),
    versions: drawn(kept, versions(buttons.promote)),
    rollout: drawn(rolled, rollout),
  };
  const element = h("div", { class: "page" },
    h("nav", { "aria-label": "Breadcrumb" }, h("a", { href: "#/" }, "← All apps")),
    h("div", { class: "title-line" }, heading, phase), source, missing, buttons.element, facts,
    h("section", { "aria-label": `Throughput and latency of ${name}` }, both.element),
    h("div", { class: "halves" },
      section("Log", log.element),
      section("Generations", history)),
    h("div", { class: "halves" },
      section("Panics", panicked),
      section("Failed requests", failed)),
    section("Faults that ended the host", faulted),
    section("Versions", rolled, kept),
    section("Usage", used),
    h("div", { class: "halves" },
      section("Send a request", invokeBox(name)),
      section("Settings", set)));

  let isClosed = false;
  let isSplit = false;
  let timer = null;

  async function refresh() {
    clearTimeout(timer);
    timer = null;
    try {
      const [app, { apps }, list] = await Promise.all([details(name), usageOf(name), versionsOf(name)]);
      if (isClosed) return;
      setText(missing, "");
      setText(source, [app.path, ...app.routes].join(" · "));
      draws.history(app.history);
      draws.panics({ panics: app.panics, total: app.panic_count });
      draws.failures(app.failures);
      draws.faults(app.faults);
      draws.usage(apps);
      draws.settings(app.settings);
      draws.versions({ name, list, traffic: app.traffic });
      draws.rollout(app.rollout ?? null);
      isSplit = app.traffic.length > 0;
      buttons.draw({ ...app, versions: list });
      reading(app);
      store.loadHistory(name);
    } catch (error) {
      if (!isClosed && error.status === 404) setText(missing, error.message);
    }
  }

  /** Draws what changes each second. */
  function reading(details) {
    const app = store.apps.get(name);
    const stats = app?.stats;
    const serving = app?.status?.serving ?? details?.serving;
    const shown = details?.phase ?? stats?.phase ?? app?.status?.phase ?? "";
    setText(phase, shown);
    setAttribute(phase, "data-phase", shown);
    if (app) both.draw(app.series);
    drawFacts([
      ["Version", serving?.version ?? NONE],
      ["Generation", serving ? count(serving.number) : NONE],
      ["Workers", serving ? count(serving.workers) : NONE],
      ["Requests", `${count(stats?.requests ?? 0)}`],
      ["Requests/s", rate(stats?.per_second ?? 0)],
      ["p50 / p99", app ? `${millis(app.series.recent("p50"))} / ${millis(app.series.recent("p99"))}` : NONE],
      ["Errors", count(stats?.failures ?? 0)],
      ["In flight / queue", `${count(stats?.in_flight ?? 0)} / ${count(stats?.waiting ?? 0)}`],
      ["Heap / peak", serving ? `${bytes(stats?.live_bytes ?? serving.live_bytes)} / ${bytes(serving.peak_bytes)}` : NONE],
    ]);
  }

  const values = new Map();
  function drawFacts(list) {
    for (const [label, text] of list) {
      if (!values.has(label)) {
        values.set(label, h("dd"));
        facts.append(h("div", {}, h("dt", {}, label), values.get(label)));
      }
      setText(values.get(label), text);
    }
  }

  const read = () => {
    reading();
    if (isSplit) timer ??= setTimeout(refresh, SPLIT_MS);
  };
  const happened = ({ detail }) => {
    // Also to a version of it: `NAME@VERSION`.
    if (detail.app.split("@")[0] === name) timer ??= setTimeout(refresh, SOON_MS);
  };
  store.addEventListener("reading", read);
  store.addEventListener("event", happened);
  // What events were missed while there was no connection, and what none tells, the list brings.
  store.addEventListener("list", refresh);
  reading();
  refresh();
  const close = () => {
    isClosed = true;
    clearTimeout(timer);
    log.close();
    store.removeEventListener("reading", read);
    store.removeEventListener("event", happened);
    store.removeEventListener("list", refresh);
  };
  return { title: name, element, heading, close };
}
