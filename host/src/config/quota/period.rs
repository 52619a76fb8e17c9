//! The time in which a quota counts.

use std::fmt;
use std::ops::Range;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The time in which a quota counts: it begins again with the next one, in UTC.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema, ToSchema,
)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
#[non_exhaustive]
pub enum Period {
    /// From a full hour to the next one.
    Hour,
    /// From midnight to midnight.
    Day,
    /// A month of the calendar.
    #[default]
    Month,
}

impl Period {
    /// All of them, the shortest first.
    pub(crate) const ALL: [Self; 3] = [Self::Hour, Self::Day, Self::Month];

    /// What is expected where it is written.
    pub(super) const EXPECTED: &str = "\"hour\", \"day\" or \"month\"";

    /// `None`: it is another word.
    pub(super) fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|period| period.to_string() == word)
    }

    /// The one that a time is in, from its beginning to its end. All are in milliseconds since 1970.
    ///
    /// ```
    /// use atoll_host::config::Period;
    ///
    /// let [begin, end] = ["2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z"];
    /// let leap_day: jiff::Timestamp = "2028-02-29T23:59:59Z".parse().unwrap();
    /// let month = Period::Month.at(leap_day.as_millisecond() as u64);
    /// let time = |ms: u64| jiff::Timestamp::from_millisecond(ms as i64).unwrap().to_string();
    /// assert_eq!((time(month.start), time(month.end)), (begin.to_owned(), end.to_owned()));
    /// ```
    pub fn at(self, ms: u64) -> Range<u64> {
        let whole = |length: u64| {
            let start = ms - ms % length;
            start..start.saturating_add(length)
        };
        match self {
            Self::Hour => whole(HOUR_MS),
            Self::Day => whole(24 * HOUR_MS),
            Self::Month => {
                let time = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
                // A clock that shows a time that no calendar has is as wrong as one that shows 1970.
                let first = time.unwrap_or_default().to_zoned(TimeZone::UTC).date().first_of_month();
                midnight(first)..midnight(first.saturating_add(1.month()))
            }
        }
    }
}

const HOUR_MS: u64 = 3_600_000;

/// When a day begins.
fn midnight(day: Date) -> u64 {
    let time = day.to_zoned(TimeZone::UTC).map(|time| time.timestamp().as_millisecond());
    time.ok().and_then(|ms| ms.try_into().ok()).unwrap_or(u64::MAX)
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Month => "month",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_time_is_in_one_period_of_each_kind() {
        let ms = |text: &str| text.parse::<Timestamp>().unwrap().as_millisecond() as u64;
        let now = ms("2028-12-31T22:15:00.5Z");
        for (period, start, end) in [
            (Period::Hour, "2028-12-31T22:00:00Z", "2028-12-31T23:00:00Z"),
            (Period::Day, "2028-12-31T00:00:00Z", "2029-01-01T00:00:00Z"),
            (Period::Month, "2028-12-01T00:00:00Z", "2029-01-01T00:00:00Z"),
        ] {
            let range = ms(start)..ms(end);
            assert_eq!(period.at(now), range, "{period}");
            assert_eq!((period.at(range.start), period.at(range.end - 1)), (range.clone(), range.clone()));
            assert_eq!(period.at(range.end).start, range.end, "{period}");
            assert_eq!(Period::from_word(&period.to_string()), Some(period));
        }
        assert_eq!(Period::Month.at(u64::MAX).start, 0);
        assert_eq!(Period::from_word("year"), None);
    }
}
