// A request that the operator sends to an app by hand.

import { invoke } from "./api.js";
import { h, newId, setAttribute } from "./dom.js";
import { millis } from "./format.js";

const METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];

/** The box with its answer. */
export function invokeBox(name) {
  const field = (label, control, hint) => {
    control.id = newId();
    return h("div", { class: "field" }, h("label", { for: control.id }, label, hint ? h("span", { class: "hint" }, ` ${hint}`) : null), control);
  };
  const method = h("select", { name: "method" }, METHODS.map((each) => h("option", {}, each)));
  const path = h("input", { name: "path", value: "/", required: true, spellcheck: "false", autocapitalize: "none", autocomplete: "off" });
  const headers = h("textarea", { name: "headers", rows: "2", spellcheck: "false", placeholder: "content-type: application/json" });
  const body = h("textarea", { name: "body", rows: "3", spellcheck: "false" });
  const answer = h("div", { class: "answer", role: "status" });
  const button = h("button", { type: "submit", class: "primary" }, "Send");
  const form = h("form", { class: "invoke", onsubmit: send },
    h("div", { class: "line" }, field("Method", method), field("Path", path, `below /apps/${name}`)),
    field("Headers", headers, "one on a line"), field("Body", body), h("div", { class: "buttons" }, button));
  let isBusy = false;

  async function send(event) {
    event.preventDefault();
    if (isBusy) return;
    isBusy = true;
    setAttribute(button, "aria-busy", "true");
    try {
      const request = { method: method.value, path: path.value.trim(), headers: parsed(headers.value), body: body.value === "" ? null : body.value };
      answer.replaceChildren(...shown(await invoke(name, request)));
    } catch (error) {
      answer.replaceChildren(h("p", { class: "refused" }, error.message));
    }
    isBusy = false;
    setAttribute(button, "aria-busy", null);
  }
  return h("div", {}, form, answer);
}

/** `name: value` on each line. */
function parsed(text) {
  return text.split("\n").filter((line) => line.trim() !== "").map((line) => {
    const colon = line.indexOf(":");
    if (colon < 1) throw new Error(`The header ${JSON.stringify(line)} has no colon: expected name: value.`);
    return [line.slice(0, colon).trim(), line.slice(colon + 1).trim()];
  });
}

function shown({ status, headers, body, truncated, took_ms: took }) {
  const type = headers.find(([name]) => name.toLowerCase() === "content-type")?.[1] ?? "";
  return [
    h("p", {}, h("span", { class: "status", "data-class": String(status)[0] }, String(status)), ` in ${millis(took)}`),
    h("details", {}, h("summary", {}, `Headers (${headers.length})`), h("ul", { class: "headers" }, headers.map(([name, value]) => h("li", {}, h("code", {}, `${name}: ${value}`))))),
    h("pre", { class: "body", tabindex: "0", "aria-label": "Body of the answer" }, pretty(body, type, truncated)),
    truncated ? h("p", { class: "hint" }, "The body is longer than what is shown, or goes on.") : null,
  ].filter(Boolean);
}

function pretty(body, type, truncated) {
  if (truncated || !type.includes("json")) return body;
  try {
    return JSON.stringify(JSON.parse(body), null, 2);
  } catch {
    return body;
  }
}
