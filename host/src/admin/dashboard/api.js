// The admin API.

import { askToken, token } from "./token.js";

/** The host's answer to what it did not do: problem details (RFC 9457). */
export class Refused extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }

  static async of(response) {
    const problem = await response.json().catch(() => ({}));
    return new Refused(response.status, problem.detail ?? `The host answered ${response.status}.`);
  }
}

/** The header with the token, if there is one. `Authorization` is left to a proxy's password. */
export function authorization() {
  return token() ? { "x-atoll-token": token() } : {};
}

async function send(method, path, body) {
  const headers = authorization();
  if (body !== undefined) headers["content-type"] = "application/json";
  const options = { method, headers, cache: "no-store", body: body === undefined ? undefined : JSON.stringify(body) };
  const sent = token();
  const response = await fetch(path, options).catch(() => {
    throw new Error("Cannot reach the host.");
  });
  if (response.status === 401 && (await askToken(sent))) return send(method, path, body);
  if (!response.ok) throw await Refused.of(response);
  return response.status === 204 ? null : response.json();
}

const at = (app, rest = "") => `api/v1/apps/${encodeURIComponent(app)}${rest}`;

/** The host and its apps, without their history. */
export const status = () => send("GET", "api/v1/status?history=0");

/** The hosts and apps of the fleet that the host is in. */
export const fleet = () => send("GET", "api/v1/fleet");

/** All that is known of an app. */
export const details = (app) => send("GET", at(app));

/** What an app has used, by library. */
export const usageOf = (app) => send("GET", `api/v1/usage?app=${encodeURIComponent(app)}`);

/** The figures of the last minutes, of an app or of all together. */
export const historyOf = (app) => send("GET", app === undefined ? "api/v1/stats/history" : at(app, "/stats"));

/** `start`, `stop`, `reload`, `rollback`, `enable` or `disable`. */
export const act = (app, action) => send("POST", at(app, `/${action}`));

/** `null`: what `RUST_LOG` says. */
export const setLogLevel = (app, level) => send("PUT", at(app, "/log-level"), { level });

/** The versions of an app, newest first. */
export const versionsOf = (app) => send("GET", at(app, "/versions"));

/** Makes a version the one that serves. */
export const promote = (app, version) => send("POST", at(app, `/versions/${encodeURIComponent(version)}/promote`));

/** Sends an app a request. */
export const invoke = (app, invocation) => send("POST", at(app, "/invoke"), invocation);

/** Where events are followed. */
export const streams = { stats: "api/v1/stats", events: "api/v1/events", log: (app) => at(app, "/log/stream?limit=200") };
