// The readings of the last minutes, of the host and of each app.

/** So many seconds are kept: as many as the host keeps. */
export const LENGTH = 900;

const pointOf = ({ at_ms: atMs, per_second: rate, failures_per_second: failures, p50_ms: p50, p99_ms: p99 }) =>
  ({ atMs, rate, failures, p50, p99 });

/** The last readings of one thing, the oldest first. */
export class Series {
  points = [];
  /** Whether what the host has kept is in it. */
  hasHistory = false;

  push(reading) {
    this.points.push(pointOf(reading));
    const first = this.points.findIndex((point) => reading.at_ms - point.atMs <= LENGTH * 1000);
    if (first > 0) this.points.splice(0, first);
  }

  /** Puts what the host has kept before what was read since. */
  prepend(history) {
    this.hasHistory = true;
    const begin = this.points[0]?.atMs ?? Infinity;
    this.points.unshift(...history.map(pointOf).filter((point) => point.atMs < begin));
  }

  /** The last value that there was within some seconds: an app that is called now and then has times, too. */
  recent(name, seconds = 10) {
    const last = this.points.at(-1)?.atMs ?? 0;
    for (let i = this.points.length - 1; i >= 0 && last - this.points[i].atMs <= seconds * 1000; i -= 1) {
      const value = this.points[i][name];
      if (value !== null && value !== undefined) return value;
    }
    return null;
  }
}
