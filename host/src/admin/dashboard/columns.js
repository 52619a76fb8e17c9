// The columns of the table of apps.

import { ago, bytes, count, millis, NONE, rate } from "./format.js";
import { phaseOf } from "./store.js";

/** The versions that serve beside the current one. */
const beside = (app) => (app.status?.traffic ?? []).map(({ version, weight }) => `${version} (${weight} %)`);

/** What is read of an app that has no readings. */
const reading = (name) => (app) => app.stats?.[name] ?? null;

/**
 * `text` is what a cell says, `order` what it is sorted by (a text or a number; `null` is last), `note` says more where
 * the pointer rests, `mark` makes it stand out.
 */
export const COLUMNS = [
  { id: "name", label: "App", text: (app) => app.name, order: (app) => app.name },
  { id: "phase", label: "State", text: phaseOf, order: phaseOf },
  {
    id: "version",
    label: "Version",
    text: (app) => [app.status?.serving?.version ?? NONE, ...beside(app)].join(" + "),
    order: (app) => app.status?.serving?.version ?? null,
  },
  number("generation", "Gen.", (app) => app.status?.serving?.number ?? null, count, "Serving generation"),
  number("rate", "Req/s", reading("per_second"), rate, "Requests per second"),
  number("p50", "p50", (app) => app.series.recent("p50"), millis, "Median response time"),
  number("p99", "p99", (app) => app.series.recent("p99"), millis, "99th percentile response time"),
  {
    ...number("errors", "Errors", reading("failures"), count, "Responses with status 500 and above"),
    mark: (app) => app.stats?.failures_per_second > 0,
  },
  number("queue", "Queue", reading("waiting"), count, "Requests waiting for a worker"),
  number("heap", "Heap", (app) => app.status?.serving && (app.stats?.live_bytes ?? app.status.serving.live_bytes), bytes, "Bytes allocated in the heap"),
  {
    id: "load",
    label: "Last load",
    isWide: true,
    text: (app, nowMs) => {
      const load = app.status?.last_load;
      return load ? `${load.state === "refused" ? "✗ refused" : "✓ served"} ${ago(load.at_ms, nowMs)}` : NONE;
    },
    order: (app) => app.status?.last_load?.at_ms ?? null,
    note: (app) => app.status?.last_load?.reason ?? "",
    mark: (app) => app.status?.last_load?.state === "refused",
  },
];

function number(id, label, value, format, title) {
  const text = (app) => {
    const found = value(app);
    return found === null || found === undefined ? NONE : format(found);
  };
  return { id, label, title, isNumber: true, text, order: (app) => value(app) ?? null };
}

/** Compares two apps by a column; those that have nothing there are last both ways. */
export function compare(column, isDescending) {
  return (a, b) => {
    const [x, y] = [column.order(a), column.order(b)];
    if (x === y) return a.name < b.name ? -1 : 1;
    if (x === null) return 1;
    if (y === null) return -1;
    return x < y === isDescending ? 1 : -1;
  };
}
