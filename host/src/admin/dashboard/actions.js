// The buttons that change an app, and the level of its log.

import { act, promote, setLogLevel } from "./api.js";
import { confirm } from "./dialog.js";
import { h, newId, setAttribute } from "./dom.js";
import { tellDone, tellFailed } from "./outcome.js";
import { store } from "./store.js";

const LEVELS = ["off", "error", "warn", "info", "debug", "trace"];
const serves = (done) => `Generation ${done.generation} is serving.`;

/** `ask` is the question before, `possible` whether it can be done now (and if not, why), `told` what is said after. */
const ACTIONS = [
  {
    id: "reload", label: "Reload", possible: (app) => enabled(app),
    told: (name, done) => `${name} reloaded. ${serves(done)}`,
  },
  {
    id: "rollback", label: "Roll back", isDangerous: true,
    possible: (app) => enabled(app) ?? (hasPrevious(app) ? null : "No previous version to roll back to."),
    ask: (name) => `${name} goes back to the version that served before. No request fails.`,
    told: (name, done) => `${name} rolled back. ${serves(done)}`,
  },
  {
    id: "start", label: "Start", possible: (app) => enabled(app) ?? (app.serving ? "Already running." : null),
    told: (name, done) => `${name} started. ${serves(done)}`,
  },
  {
    id: "stop", label: "Stop", isDangerous: true, possible: (app) => (app.serving ? null : "Not running."),
    ask: (name) => `${name} finishes its requests and stops. State that it keeps only in memory is lost. The next request starts it again.`,
    told: (name) => `${name} stopped.`,
  },
  {
    id: "disable", label: "Disable", isDangerous: true, possible: (app) => enabled(app),
    ask: (name) => `${name} stops, and its requests get 503 until it is enabled or the host restarts.`,
    told: (name) => `${name} disabled.`,
  },
  {
    id: "enable", label: "Enable", possible: (app) => (app.phase === "disabled" ? null : "Already enabled."),
    told: (name) => `${name} enabled.`,
  },
];

const hasPrevious = (app) => app.kept.length > 0 || app.versions.some((version) => version.state === "previous");

const enabled = (app) => (app.phase === "disabled" ? "Disabled." : null);

/** Returns the element, and the function that draws what is possible. `changed` is called when something was done. */
export function actions(name, changed) {
  let isBusy = false;
  let current = null;

  const buttons = new Map(ACTIONS.map((action) => [action, h("button", {
    type: "button",
    id: `do-${action.id}`,
    class: action.isDangerous ? "danger-plain" : null,
    "aria-disabled": "true",
    onclick: () => press(action),
  }, action.label)]));

  async function press(action) {
    if (isBusy || !current || action.possible(current) !== null) return;
    if (action.ask && !(await confirm(`${action.label} ${name}?`, action.ask(name), action.label))) return;
    await run(buttons.get(action), `${action.label}: `, async () => action.told(name, await act(name, action.id)));
  }

  /** Does something, with its button held, and tells what came of it. */
  async function run(control, what, job) {
    isBusy = true;
    setAttribute(control, "aria-busy", "true");
    draw(current);
    try {
      tellDone(await job());
    } catch (error) {
      tellFailed(`${what}${error.message}`);
    }
    isBusy = false;
    setAttribute(control, "aria-busy", null);
    store.refreshSoon(0);
    await changed();
  }

  /** Makes a version the one that serves. */
  async function promoteVersion(version) {
    if (isBusy || !(await confirm(`Promote ${version}?`, `${name} serves this version from then on. No request fails.`, "Promote"))) return;
    await run(element, "Promote: ", async () => {
      const done = await promote(name, version);
      return done.rollout ? `The rollout of ${version} begins.` : `${name} has the version ${version}. ${serves(done)}`;
    });
  }

  const id = newId();
  const level = h("select", {
    id,
    onchange: () => run(level, "Log level: ", async () => {
      const wanted = level.value || null;
      await setLogLevel(name, wanted);
      return wanted ? `Log level of ${name} set to ${wanted}.` : `Log level of ${name} set by RUST_LOG.`;
    }),
  }, h("option", { value: "" }, "from RUST_LOG"), LEVELS.map((each) => h("option", {}, each)));

  function draw(app) {
    current = app;
    if (!app) return;
    for (const [action, button] of buttons) {
      const why = action.possible(app);
      // One that is disabled outright would lose the focus, and could not say why.
      setAttribute(button, "aria-disabled", isBusy || why !== null ? "true" : null);
      setAttribute(button, "title", why);
    }
    if (!isBusy && document.activeElement !== level) level.value = app.log_level ?? "";
  }

  const element = h("div", { class: "actions", role: "group", "aria-label": `Change ${name}` }, [...buttons.values()],
    h("span", { class: "level" }, h("label", { for: id }, "Log level"), level));
  return { element, draw, promote: promoteVersion };
}
