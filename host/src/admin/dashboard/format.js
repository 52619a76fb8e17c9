// Numbers and times as text.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

/** What stands where there is nothing to say. */
export const NONE = "–";

/** A count: `12,345`. */
export const count = (value) => whole.format(value);

/** A rate for each second: `0.5`, `12`, `12,345`. */
export function rate(value) {
  if (value === 0) return "0";
  return value < 9.95 ? value.toFixed(1) : whole.format(value);
}

/** Milliseconds: `0.08 ms`, `12 ms`, `1.5 s`. */
export function millis(value) {
  if (value === null || value === undefined) return NONE;
  if (value === 0) return "0 ms";
  if (value < 0.995) return `${value.toFixed(2)} ms`;
  if (value < 9.95) return `${value.toFixed(1)} ms`;
  if (value < 999.5) return `${value.toFixed(0)} ms`;
  return `${(value / 1000).toFixed(1)} s`;
}

/** A number of bytes: `512 B`, `1.5 MiB`. */
export function bytes(value) {
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 || value >= 99.95 ? value.toFixed(0) : value.toFixed(1)} ${UNITS[unit]}`;
}

/** How long something takes or took: `5 s`, `3 min`, `2 h`, `4 d`. */
export function span(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} d`;
}

/** How long ago a time is. */
export const ago = (atMs, nowMs) => (nowMs - atMs < 1000 ? "now" : `${span(nowMs - atMs)} ago`);

/** The time of day. */
export const time = (atMs) => clock.format(new Date(atMs));

/** Date and time, exactly. */
export const moment = (atMs) => new Date(atMs).toISOString();
