// What is known of the host, kept up to date, and told to the page that is shown.

import { historyOf, status, streams } from "./api.js";
import { Series } from "./series.js";
import { follow } from "./sse.js";

/** The list changes by what no event tells, such as the registry file, so it is asked for now and then. */
const LIST_MS = 10_000;
const SOON_MS = 300;
const SILENCE_MS = { stats: 5_000, events: 40_000 };

/**
 * The host as it is now. Events: `list` (apps came, went or changed), `reading` (a second has passed), `event` (something
 * happened to an app; it is the detail), `link` (the connection).
 */
class Store extends EventTarget {
  host = null;
  pinned = [];
  /** The fault that ended the process before this one. */
  fault = null;
  /** By name: what the list says (`status`), the last reading (`stats`, if it was ever used), and its `series`. */
  apps = new Map();
  series = new Series();
  /** `connecting`, `live`, or `lost` with the reason. */
  link = { state: "connecting" };
  /** The host's time: the browser's clock may be another. */
  nowMs = Date.now();
  #timer = null;
  #asking = false;

  start() {
    follow(streams.stats, SILENCE_MS.stats, {
      open: () => this.#linked(),
      lost: (error, retryMs) => this.#set({ state: "lost", reason: error.message, retryMs }),
      event: (name, stats) => name === "stats" && this.#read(stats),
    });
    follow(streams.events, SILENCE_MS.events, {
      event: (name, event) => {
        // What a panic and a failure change is in the readings.
        if (name !== "event" || ["transition", "traffic", "lease"].includes(event.type)) this.refreshSoon();
        if (name === "event") this.#tell("event", event);
      },
    });
  }

  /** Has the charts of an app, or those of all together, begin with what the host has kept. */
  async loadHistory(name) {
    const series = name === undefined ? this.series : this.#app(name).series;
    if (series.hasHistory) return;
    try {
      series.prepend((await historyOf(name)).points);
      this.#tell("reading");
    } catch {
      // The charts begin now. That the host does not answer, the stream of readings tells.
    }
  }

  /** Asks for the list again before long; many wishes are one request. */
  refreshSoon(after = SOON_MS) {
    if (this.#timer?.dueMs <= Date.now() + after) return;
    clearTimeout(this.#timer?.id);
    this.#timer = { dueMs: Date.now() + after, id: setTimeout(() => this.#refresh(), after) };
  }

  async #refresh() {
    this.#timer = null;
    if (this.#asking || document.hidden) return this.refreshSoon(LIST_MS);
    this.#asking = true;
    try {
      const { apps, pinned, fault, process } = await status();
      this.host = process;
      this.pinned = pinned;
      this.fault = fault;
      const names = new Set(apps.map((app) => app.name));
      for (const name of this.apps.keys()) if (!names.has(name)) this.apps.delete(name);
      for (const app of apps) this.#app(app.name).status = app;
      this.#tell("list");
    } catch {
      // That the host does not answer, the stream of readings tells.
    } finally {
      this.#asking = false;
      this.refreshSoon(LIST_MS);
    }
  }

  #app(name) {
    let app = this.apps.get(name);
    if (!app) this.apps.set(name, (app = { name, status: null, stats: null, series: new Series() }));
    return app;
  }

  #read(stats) {
    this.nowMs = stats.at_ms;
    this.series.push({ at_ms: stats.at_ms, ...stats.host });
    let isNew = false;
    for (const reading of stats.apps) {
      const app = this.#app(reading.name);
      isNew ||= !app.status || app.status.phase !== reading.phase || app.status.serving?.number !== (reading.generation ?? undefined);
      app.stats = reading;
      app.series.push({ at_ms: stats.at_ms, ...reading });
    }
    if (isNew) this.refreshSoon();
    this.#tell("reading");
  }

  #linked() {
    this.#set({ state: "live" });
    this.refreshSoon(0);
  }

  #set(link) {
    this.link = link;
    this.#tell("link");
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

export const store = new Store();

/** The phase of an app, as it was told last. */
export const phaseOf = (app) => app.stats?.phase ?? app.status?.phase ?? "cold";
