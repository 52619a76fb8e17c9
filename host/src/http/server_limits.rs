//! The limits of a server that its operator sets.

use std::num::NonZero;
use std::ops::RangeInclusive;
use std::thread::available_parallelism;
use std::time::Duration;

use jiff::SignedDuration;

use crate::dispatch::exchange::pace::BODY_TIMEOUT;

/// Limits of a server: what its clients may take of it, and how long its shutdown takes. `atoll serve` has an option for
/// each of them.
///
/// ```
/// use std::time::Duration;
/// use atoll_host::ServerLimits;
///
/// // Behind a load balancer that keeps idle connections for 600 seconds.
/// let limits = ServerLimits { keep_alive: Duration::from_secs(620), ..ServerLimits::default() };
/// assert!(limits.check().is_ok());
/// assert!(ServerLimits { max_connections: 0, ..limits }.check().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerLimits {
    /// How long a connection stays open without a request, from 1 s to 1 day. An HTTP/2 connection with requests on which
    /// the client sends nothing for as long is sent a ping. Default 75 s.
    pub keep_alive: Duration,
    /// How long the head of a request may take, from 1 s to 1 h: of the first one from the start of the connection, of
    /// others from their first byte. Default 30 s.
    pub header_timeout: Duration,
    /// How long the sender of a body may be behind the minimum rate of 500 bytes per second while the app waits for it, from
    /// 1 s to 1 h: it is the longest pause. Default 30 s.
    pub body_timeout: Duration,
    /// How long a client may take nothing of a response that is there to be sent, from 1 s to 1 h. Default 30 s.
    pub write_timeout: Duration,
    /// The most bytes of all names and values of a request's headers together, from 1 KiB to 92 KiB. Default 64 KiB.
    pub max_header_bytes: usize,
    /// The most connections at once, from 1 to 1,000,000; as many as the process may have files open, if that is less.
    /// Default 100,000.
    pub max_connections: usize,
    /// How many threads read requests and write responses, from 1 to 1024; at most one for each connection. Apps run on
    /// other threads. Default `None`: one for each processor that this process may use.
    pub http_threads: Option<usize>,
    /// The most bytes of a file of a version that is uploaded over the admin API, from 1 KiB to 16 GiB. Default 256 MiB.
    pub upload_limit: usize,
    /// How long a server still accepts connections on shutdown, while `/readyz` returns 503, at most 1 h.
    /// Default 0.
    pub shutdown_delay: Duration,
    /// How long requests in flight may take after that, from 1 s to 1 h. Default 30 s.
    pub shutdown_timeout: Duration,
}

/// A limit that is out of its range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} must be from {least} to {most}, not {value}")]
pub struct LimitOutOfRange {
    /// The limit, as the command's option has it without the dashes: `keep-alive`.
    pub name: &'static str,
    least: String,
    most: String,
    value: String,
}

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// The most bytes of headers that can be allowed: with the longest target, the parsers take no more.
const MOST_HEADER_BYTES: usize = 92 * 1024;

const MOST_HTTP_THREADS: usize = 1024;

impl ServerLimits {
    /// What a server has unless it is given others.
    pub const DEFAULT: Self = Self {
        keep_alive: Duration::from_secs(75),
        header_timeout: Duration::from_secs(30),
        body_timeout: BODY_TIMEOUT,
        write_timeout: Duration::from_secs(30),
        max_header_bytes: 64 * 1024,
        max_connections: 100_000,
        http_threads: None,
        upload_limit: 256 << 20,
        shutdown_delay: Duration::ZERO,
        shutdown_timeout: Duration::from_secs(30),
    };

    /// Whether all of them are in their ranges.
    ///
    /// # Errors
    /// The first one that is not.
    pub fn check(&self) -> Result<(), LimitOutOfRange> {
        for (name, value, range) in [
            ("keep-alive", self.keep_alive, SECOND..=24 * HOUR),
            ("header-timeout", self.header_timeout, SECOND..=HOUR),
            ("body-timeout", self.body_timeout, SECOND..=HOUR),
            ("write-timeout", self.write_timeout, SECOND..=HOUR),
            ("shutdown-delay", self.shutdown_delay, Duration::ZERO..=HOUR),
            ("shutdown-timeout", self.shutdown_timeout, SECOND..=HOUR),
        ] {
            check(name, value, range, time_text)?;
        }
        for (name, value, range) in [
            ("max-header-bytes", self.max_header_bytes, 1024..=MOST_HEADER_BYTES),
            ("max-connections", self.max_connections, 1..=1_000_000),
            ("http-threads", self.threads(), 1..=MOST_HTTP_THREADS),
            ("upload-limit", self.upload_limit, 1024..=16 << 30),
        ] {
            check(name, value, range, |number| number.to_string())?;
        }
        Ok(())
    }

    /// The number of HTTP threads.
    pub(crate) fn threads(&self) -> usize {
        let processors = || available_parallelism().map_or(2, NonZero::get).min(MOST_HTTP_THREADS);
        self.http_threads.unwrap_or_else(processors)
    }

    /// All of them by name: times in milliseconds, sizes in bytes.
    pub(crate) fn all(&self) -> [(&'static str, u64); 10] {
        let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        [
            ("keep_alive_ms", milliseconds(self.keep_alive)),
            ("header_timeout_ms", milliseconds(self.header_timeout)),
            ("body_timeout_ms", milliseconds(self.body_timeout)),
            ("write_timeout_ms", milliseconds(self.write_timeout)),
            ("max_header_bytes", self.max_header_bytes as u64),
            ("max_connections", self.max_connections as u64),
            ("http_threads", self.threads() as u64),
            ("upload_limit", self.upload_limit as u64),
            ("shutdown_delay_ms", milliseconds(self.shutdown_delay)),
            ("shutdown_timeout_ms", milliseconds(self.shutdown_timeout)),
        ]
    }
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// As the command's options take it: `1m 15s`.
fn time_text(time: Duration) -> String {
    SignedDuration::try_from(time).map_or_else(|_| format!("{time:?}"), |time| format!("{time:#}"))
}

fn check<T: PartialOrd + Copy>(
    name: &'static str,
    value: T,
    range: RangeInclusive<T>,
    text: impl Fn(T) -> String,
) -> Result<(), LimitOutOfRange> {
    if range.contains(&value) {
        return Ok(());
    }
    let (least, most) = (text(*range.start()), text(*range.end()));
    Err(LimitOutOfRange { name, least, most, value: text(value) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_in_their_ranges() {
        assert_eq!(ServerLimits::default().check(), Ok(()));
    }

    #[test]
    fn each_limit_has_a_least_and_a_most() {
        let default = ServerLimits::default();
        let (none, day) = (Duration::ZERO, 24 * HOUR);
        for (limits, expected) in [
            (ServerLimits { keep_alive: none, ..default }, "keep-alive must be from 1s to 24h, not 0s"),
            (
                ServerLimits { keep_alive: day + SECOND, ..default },
                "keep-alive must be from 1s to 24h, not 24h 1s",
            ),
            (
                ServerLimits { header_timeout: day, ..default },
                "header-timeout must be from 1s to 1h, not 24h",
            ),
            (
                ServerLimits { body_timeout: SECOND / 2, ..default },
                "body-timeout must be from 1s to 1h, not 500ms",
            ),
            (ServerLimits { write_timeout: none, ..default }, "write-timeout must be from 1s to 1h, not 0s"),
            (
                ServerLimits { max_header_bytes: 1000, ..default },
                "max-header-bytes must be from 1024 to 94208, not 1000",
            ),
            (
                ServerLimits { max_connections: 0, ..default },
                "max-connections must be from 1 to 1000000, not 0",
            ),
            (ServerLimits { http_threads: Some(0), ..default }, "http-threads must be from 1 to 1024, not 0"),
            (
                ServerLimits { upload_limit: 1000, ..default },
                "upload-limit must be from 1024 to 17179869184, not 1000",
            ),
            (
                ServerLimits { shutdown_delay: day, ..default },
                "shutdown-delay must be from 0s to 1h, not 24h",
            ),
            (
                ServerLimits { shutdown_timeout: none, ..default },
                "shutdown-timeout must be from 1s to 1h, not 0s",
            ),
        ] {
            assert_eq!(limits.check().unwrap_err().to_string(), expected);
        }
    }
}
