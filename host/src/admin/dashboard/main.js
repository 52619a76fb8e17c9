// Shows the page that the address names, and how the connection to the host is.

import { appPage } from "./app.js";
import { h, setText } from "./dom.js";
import { fleetPage } from "./fleet.js";
import { span } from "./format.js";
import { overview } from "./overview.js";
import { store } from "./store.js";

const main = document.getElementById("main");
let page = null;

/** `#/`, `#/fleet` or `#/apps/NAME`. */
function route() {
  const app = location.hash.match(/^#\/apps\/([^/]+)$/);
  try {
    if (app) return appPage(decodeURIComponent(app[1]));
    if (location.hash === "#/fleet") return fleetPage();
    if (["", "#", "#/"].includes(location.hash)) return overview();
  } catch (error) {
    if (!(error instanceof URIError)) throw error;
  }
  return nothing();
}

function nothing() {
  const heading = h("h1", { tabindex: "-1" }, "Page not found");
  return { title: "Page not found", heading, element: h("div", { class: "page" }, heading, h("p", {}, h("a", { href: "#/" }, "All apps"))), close() {} };
}

function show() {
  const isFirst = page === null;
  page?.close();
  page = route();
  main.replaceChildren(page.element);
  document.title = `${page.title} · Atoll`;
  // Whoever follows a link by keyboard or screen reader goes on at the top of what has come.
  if (!isFirst) {
    scrollTo(0, 0);
    page.heading.focus({ preventScroll: true });
  }
}

function showLink() {
  const { state, reason, retryMs } = store.link;
  const isLost = state === "lost";
  document.body.dataset.link = state;
  setText(document.getElementById("link-text"), isLost ? "no connection" : state);
  const text = isLost ? `Cannot reach the host; the data shown is outdated. Retrying every ${span(Math.max(1000, retryMs))}. (${reason})` : "";
  setText(document.getElementById("lost"), text);
}

function showHost() {
  const { host, nowMs } = store;
  const fleet = document.getElementById("fleet");
  fleet.hidden = !host?.fleet;
  setText(fleet, `Fleet ${host?.fleet ?? ""}`);
  if (host) setText(document.getElementById("host"), `${host.version} · process ${host.pid} · up ${span(nowMs - host.started_ms)}`);
}

// A link to `#main` would be taken for a page.
document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
addEventListener("hashchange", show);
store.addEventListener("link", showLink);
store.addEventListener("list", showHost);
store.addEventListener("reading", showHost);
show();
store.start();
