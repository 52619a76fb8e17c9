//! Sizes, times and counts as people read them.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;

/// `1.5 MiB`.
pub(super) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut size = count as f64;
    let mut unit = 0;
    while size >= 1024.0 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{count} B") } else { format!("{size:.1} {}", UNITS[unit]) }
}

/// `2026-03-01T09:30:00.250Z`, from milliseconds since 1970.
pub(super) fn time(at_ms: u64) -> String {
    let at = i64::try_from(at_ms).ok().and_then(|at| Timestamp::from_millisecond(at).ok());
    at.map_or_else(|| format!("{at_ms} ms"), |at| format!("{at:.3}"))
}

/// The time in milliseconds since 1970.
#[cfg(feature = "fleet")]
pub(super) fn now_ms() -> u64 {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

/// `3 h 12 min`: how long ago that was.
pub(super) fn since(at_ms: u64) -> String {
    let at = SystemTime::UNIX_EPOCH + Duration::from_millis(at_ms);
    duration(at.elapsed().unwrap_or_default())
}

/// `5 s`, `3 min 5 s`, `2 h 3 min`, `4 d 2 h`.
pub(super) fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// `1 worker`, `2 workers`.
pub(super) fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_in_the_unit_that_fits() {
        let shown = [0, 1023, 1024, 3 << 20].map(bytes);
        assert_eq!(shown, ["0 B", "1023 B", "1.0 KiB", "3.0 MiB"]);
    }

    #[test]
    fn times_are_in_utc_and_exact_to_the_millisecond() {
        assert_eq!(time(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(time(1_772_357_400_250), "2026-03-01T09:30:00.250Z");
        assert_eq!(time(u64::MAX), format!("{} ms", u64::MAX));
    }

    #[test]
    fn how_long_ago_is_said_in_two_units() {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as u64;
        let ago = |seconds: u64| since(now - seconds * 1000 - 500);
        assert_eq!([ago(5), ago(65), ago(7260), ago(90_000)], ["5 s", "1 min 5 s", "2 h 1 min", "1 d 1 h"]);
        assert_eq!(since(now + 60_000), "0 s");
    }

    #[test]
    fn one_is_singular() {
        assert_eq!([count(0, "app"), count(1, "app"), count(2, "app")], ["0 apps", "1 app", "2 apps"]);
    }
}
