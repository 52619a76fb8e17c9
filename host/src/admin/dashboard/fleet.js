// The page of the fleet that the host is in.

import { fleet } from "./api.js";
import { drawn, h, section, setText } from "./dom.js";
import { ago, count, moment, NONE, span } from "./format.js";
import { store } from "./store.js";

/** How often the host is asked, and how often times are drawn again. */
const PAUSE_MS = 2_000;
const TIMES_MS = 10_000;

const HOST_COLUMNS = ["Host", "Address", "Labels", "Atoll", "Started", "Apps", "Out of date"];
const APP_COLUMNS = ["Host", "Version", "Generation", "State", "Errors", "Out of date"];

/** Returns the page: its `title`, its `element`, and `close`. */
export function fleetPage() {
  const heading = h("h1", { tabindex: "-1" }, "Fleet");
  const source = h("p", { class: "source" });
  const missing = h("p", { class: "empty", role: "status" });
  const [hosts, apps] = [h("div"), h("div")];
  const [drawHosts, drawApps] = [drawn(hosts, hostsTable), drawn(apps, appsTable)];
  const element = h("div", { class: "page" },
    h("nav", { "aria-label": "Breadcrumb" }, h("a", { href: "#/" }, "← All apps")),
    heading, source, missing, section("Hosts", hosts), section("Apps", apps));

  let isClosed = false;
  let dueMs = 0;

  async function refresh() {
    dueMs = Date.now() + PAUSE_MS;
    try {
      const status = await fleet();
      if (isClosed) return;
      const nowMs = Math.floor(store.nowMs / TIMES_MS) * TIMES_MS;
      setText(heading, `Fleet ${status.name}`);
      setText(source, `as ${status.host} sees it`);
      setText(missing, status.connected ? "" : `${status.host} is not connected for ${span(store.nowMs - status.since_ms)}: ${status.reason}. This is what it saw last.`);
      drawHosts({ hosts: status.hosts, nowMs });
      drawApps({ apps: status.apps, here: status.host, nowMs });
    } catch (error) {
      if (!isClosed && error.status === 404) setText(missing, error.message);
    }
  }

  const reading = () => {
    if (Date.now() >= dueMs) refresh();
  };
  store.addEventListener("reading", reading);
  refresh();
  const close = () => {
    isClosed = true;
    store.removeEventListener("reading", reading);
  };
  return { title: "Fleet", element, heading, close };
}

const table = (label, columns, ...bodies) => h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label },
  h("table", { class: "facts fleet" }, h("thead", {}, h("tr", {}, columns.map((text) => h("th", { scope: "col" }, text)))), ...bodies));

const cells = (list) => list.map((cell) => h("td", {}, cell));

/** How long ago a time is; the pointer shows it exactly. */
const since = (ms, nowMs) => h("time", { datetime: moment(ms), title: moment(ms) }, ago(ms, nowMs));

const marked = (...text) => h("span", { class: "refused" }, ...text);

/** By how much clocks may differ without a hint. */
const CLOCK_TOLERANCE_MS = 2_000;

/** How far the clock of a host is ahead of that of the host that shows it. */
const clock = (aheadMs) => (Math.abs(aheadMs ?? 0) < CLOCK_TOLERANCE_MS ? null
  : marked(` clock ${span(Math.abs(aheadMs))} ${aheadMs > 0 ? "ahead" : "behind"}`));

function hostsTable({ hosts, nowMs }) {
  if (hosts.length === 0) return [h("p", { class: "empty" }, "None is known.")];
  const row = (host) => h("tr", { "data-host": host.name }, h("th", { scope: "row" }, host.name), cells([
    host.addresses.join(" "), Object.entries(host.labels).map(([name, value]) => `${name}=${value}`).join(" "), host.atoll,
    [since(host.started_ms, nowMs), clock(host.clock_ahead_ms)], count(host.apps),
    host.out_of_date > 0 ? marked(count(host.out_of_date)) : NONE,
  ]));
  return [table("Hosts", HOST_COLUMNS, h("tbody", {}, hosts.map(row)))];
}

function appsTable({ apps, here, nowMs }) {
  if (apps.length === 0) return [h("p", { class: "empty" }, "None: `atoll deploy --fleet` adds them.")];
  return [table("Apps", APP_COLUMNS, ...apps.map((app) => h("tbody", { "data-app": app.name },
    h("tr", { class: "group" }, h("th", { colspan: APP_COLUMNS.length, scope: "rowgroup" }, summary(app, here, nowMs))),
    app.hosts.map((host) => onHost(host, nowMs)))))];
}

/** What a fleet is to have of an app, and why it went back from something else. */
function summary(app, here, nowMs) {
  const isHere = app.hosts.some((host) => host.host === here && host.phase);
  const name = isHere ? h("a", { href: `#/apps/${encodeURIComponent(app.name)}` }, app.name) : app.name;
  const { failure } = app;
  return [
    h("p", { class: "what" }, h("b", {}, name), h("code", {}, app.version ?? ""), h("span", { class: "phase", "data-phase": PHASES[state(app)] ?? null }, state(app)),
      app.by ? h("span", { class: "hint" }, `by ${app.by} `, since(app.at_ms, nowMs), app.signed_by ? `, signed by ${app.signed_by}` : "") : null, app.note ? h("span", { class: "hint" }, app.note) : null),
    failure ? h("p", {}, marked("went back from ", h("code", {}, failure.version), " ", since(failure.at_ms, nowMs), `: ${failure.reason}`)) : null,
  ];
}

function state(app) {
  if (!app.is_shared) return "not in the fleet";
  if (app.wave) return `rolling out: ${app.wave.join(", ")}`;
  if (app.hosts.some((host) => host.out_of_date_since_ms)) return "out of date";
  if (app.is_removed) return "removed";
  return app.failure ? "went back" : "up to date";
}

/** The colours of phases that fit. */
const PHASES = { "up to date": "serving", "out of date": "failed", "went back": "resting" };

function onHost(host, nowMs) {
  const { out_of_date_since_ms: outMs, refused } = host;
  return h("tr", { "data-host": host.host }, h("th", { scope: "row" }, host.host), cells([
    h("code", {}, host.version ?? NONE), host.generation ? count(host.generation) : NONE,
    h("span", { class: "phase", "data-phase": host.phase ?? null }, host.phase ?? "not there"), count(host.errors),
    outMs ? marked(since(outMs, nowMs), refused ? `: ${refused.reason}` : "") : NONE,
  ]));
}
