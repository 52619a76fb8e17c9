// The readings of the last minutes, of the host and of each app.

/** So many seconds are kept. */
export const LENGTH = 120;

/** The last readings of one thing, the oldest first. */
export class Series {
  points = [];

  push(atMs, reading) {
    const { per_second: rate, failures_per_second: failures, p50_ms: p50, p99_ms: p99 } = reading;
    this.points.push({ atMs, rate, failures, p50, p99 });
    if (this.points.length > LENGTH + 1) this.points.shift();
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
