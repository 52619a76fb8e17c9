//! When a certificate is renewed, and when an order that has failed is tried again.

use std::time::{Duration, SystemTime};

use crate::tls::validity::Validity;

/// The longest time between two orders that fail.
const LONGEST_RETRY_DELAY: Duration = Duration::from_secs(3600);

/// How long to sleep at most: the system's clock may be set meanwhile.
pub(super) const LONGEST_SLEEP: Duration = Duration::from_secs(3600);

/// The share of its time after which a certificate is renewed.
const RENEWED_AFTER: f64 = 2.0 / 3.0;

/// The share of its time by which a certificate may be renewed earlier, so that those issued together are not renewed
/// together.
const SPREAD: f64 = 1.0 / 30.0;

/// When a certificate is renewed; `earlier` is a number from 0 to 1.
pub(super) fn renewal(validity: &Validity, earlier: f64) -> SystemTime {
    validity.begin + validity.length().mul_f64(RENEWED_AFTER - SPREAD * earlier)
}

/// How long to wait after so many orders that have failed, one after the other.
pub(super) fn retry_delay(first: Duration, failures: u32) -> Duration {
    let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
    first.saturating_mul(doubled).min(LONGEST_RETRY_DELAY.max(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    #[test]
    fn a_certificate_is_renewed_when_two_thirds_of_its_time_are_over() {
        let begin = SystemTime::UNIX_EPOCH;
        let validity = Validity { begin, end: begin + 90 * DAY };
        assert_eq!(renewal(&validity, 0.0), begin + 60 * DAY);
        assert_eq!(renewal(&validity, 1.0), begin + 57 * DAY);
        let never = Validity { begin: begin + DAY, end: begin };
        assert_eq!(renewal(&never, 0.0), begin + DAY);
    }

    #[test]
    fn the_delay_doubles_up_to_an_hour() {
        let minutes = |failures| retry_delay(Duration::from_secs(60), failures).as_secs() / 60;
        assert_eq!([1, 2, 3, 6, 7, 8, u32::MAX].map(minutes), [1, 2, 4, 32, 60, 60, 60]);
        assert_eq!(retry_delay(2 * DAY, 9), 2 * DAY);
    }
}
