// Server-sent events. Read by `fetch`, which unlike `EventSource` can send the token, and says why it failed.

import { authorization, Refused } from "./api.js";

const PAUSES = [500, 1000, 2000, 4000, 8000];

/**
 * Follows `path` until what is returned is called. It connects again when the connection breaks, or when nothing comes
 * for `silence` milliseconds, and rests while the page is hidden: a browser has few connections for all of its tabs.
 * Listeners: `open()`, `event(name, data)`, `lost(error, retryMs)`.
 */
export function follow(path, silence, listeners) {
  let attempt = 0;
  let abort = null;
  let timer = null;
  let over = false;

  async function connect() {
    clearTimeout(timer);
    if (over || abort || document.hidden) return;
    const own = new AbortController();
    abort = own;
    try {
      await read(path, silence, own, () => {
        attempt = 0;
        listeners.open?.();
      }, listeners.event);
      throw new Error("The host has ended the connection.");
    } catch (error) {
      if (abort === own) abort = null;
      if (over || document.hidden) return;
      const pause = error instanceof Refused && error.status === 404 ? PAUSES.at(-1) : PAUSES[Math.min(attempt, PAUSES.length - 1)];
      attempt += 1;
      listeners.lost?.(error, pause);
      timer = setTimeout(connect, pause);
    }
  }

  function visible() {
    if (!document.hidden) return void connect();
    abort?.abort();
    abort = null;
  }

  document.addEventListener("visibilitychange", visible);
  connect();
  return () => {
    over = true;
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", visible);
    abort?.abort();
  };
}

async function read(path, silence, abort, opened, told) {
  let watch;
  const heard = () => {
    clearTimeout(watch);
    watch = setTimeout(() => abort.abort(new Error("The host has fallen silent.")), silence);
  };
  heard();
  try {
    const response = await fetch(path, { headers: authorization(), cache: "no-store", signal: abort.signal });
    if (!response.ok) throw await Refused.of(response);
    opened();
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      heard();
      const events = (rest + value).split("\n\n");
      rest = events.pop();
      for (const event of events) tell(event, told);
    }
  } finally {
    clearTimeout(watch);
  }
}

/** One event's lines; a comment has no data. */
function tell(text, told) {
  let name = "message";
  let data = null;
  for (const line of text.split("\n")) {
    if (line.startsWith("event: ")) name = line.slice(7);
    else if (line.startsWith("data: ")) data = line.slice(6);
  }
  if (data !== null) told(name, JSON.parse(data));
}
