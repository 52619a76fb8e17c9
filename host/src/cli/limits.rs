//! The options for the limits of a server.

use std::time::Duration;

use atoll_host::ServerLimits;
use atoll_host::internal::parse_byte_size;
use clap::Args;
use jiff::SignedDuration;

/// What clients may take of a server, and how long its shutdown takes.
#[derive(Args, Clone, Debug)]
pub(super) struct LimitArgs {
    /// Close connections without a request after this time. Set it to more than the idle timeout of your load balancer.
    #[arg(long, help_heading = "Limits", value_name = "TIME", default_value = "75s", value_parser = time)]
    keep_alive: Duration,
    /// How long the request line and the headers of a request may take.
    #[arg(long, help_heading = "Limits", value_name = "TIME", default_value = "30s", value_parser = time)]
    header_timeout: Duration,
    /// How long the body of a request may pause while the app waits for it.
    #[arg(long, help_heading = "Limits", value_name = "TIME", default_value = "30s", value_parser = time)]
    body_timeout: Duration,
    /// How long a client may read nothing of its response.
    #[arg(long, help_heading = "Limits", value_name = "TIME", default_value = "30s", value_parser = time)]
    write_timeout: Duration,
    /// The largest size of all headers of a request together.
    #[arg(long, help_heading = "Limits", value_name = "SIZE", default_value = "64KiB", value_parser = size)]
    max_header_bytes: usize,
    /// The maximum number of connections; further clients wait to be accepted.
    #[arg(long, help_heading = "Limits", value_name = "NUMBER", default_value_t = ServerLimits::DEFAULT.max_connections)]
    max_connections: usize,
    /// How many threads read requests and write responses. By default, one for each processor.
    #[arg(long, help_heading = "Limits", value_name = "NUMBER")]
    http_threads: Option<usize>,
    /// The largest file that `atoll push` may upload.
    #[arg(long, help_heading = "Limits", value_name = "SIZE", default_value = "256MiB", value_parser = size)]
    upload_limit: usize,
    /// On shutdown, keep serving for this time while /readyz returns 503, so that load balancers notice.
    #[arg(long, help_heading = "Limits", value_name = "TIME", default_value = "0s", value_parser = time)]
    shutdown_delay: Duration,
    /// How long requests in flight may take on shutdown, after --shutdown-delay.
    #[arg(long, help_heading = "Limits", value_name = "TIME", default_value = "30s", value_parser = time)]
    shutdown_timeout: Duration,
}

impl LimitArgs {
    /// The limits.
    pub(super) fn get(&self) -> anyhow::Result<ServerLimits> {
        let Self { keep_alive, header_timeout, body_timeout, write_timeout, .. } = *self;
        let Self { max_header_bytes, max_connections, http_threads, .. } = *self;
        let Self { upload_limit, shutdown_delay, shutdown_timeout, .. } = *self;
        let limits = ServerLimits {
            keep_alive,
            header_timeout,
            body_timeout,
            write_timeout,
            max_header_bytes,
            max_connections,
            http_threads,
            upload_limit,
            shutdown_delay,
            shutdown_timeout,
        };
        limits.check().map_err(|error| anyhow::anyhow!("--{error}"))?;
        Ok(limits)
    }
}

/// A time with its unit.
pub(super) fn time(text: &str) -> Result<Duration, String> {
    let time = text.parse::<SignedDuration>().ok().and_then(|time| Duration::try_from(time).ok());
    time.ok_or_else(|| "expected a time with a unit, such as 75s, 500ms or 1m 30s".to_owned())
}

/// A size, in bytes or with a unit.
fn size(text: &str) -> Result<usize, String> {
    let bytes = text.parse().ok().or_else(|| parse_byte_size(text));
    let bytes = bytes.and_then(|bytes| usize::try_from(bytes).ok());
    bytes.ok_or_else(|| "expected a size in bytes, or with a unit, such as 64KiB".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::{Command, FromArgMatches};

    use super::*;

    fn limits(arguments: &[&str]) -> Result<ServerLimits, String> {
        let command = LimitArgs::augment_args(Command::new("serve").no_binary_name(true));
        let matches = command.try_get_matches_from(arguments).map_err(|error| error.to_string())?;
        let args = LimitArgs::from_arg_matches(&matches).map_err(|error| error.to_string())?;
        args.get().map_err(|error| error.to_string())
    }

    #[test]
    fn without_options_they_are_the_defaults() {
        assert_eq!(limits(&[]), Ok(ServerLimits::DEFAULT));
    }

    #[test]
    fn each_has_an_option() {
        let all = limits(&[
            "--keep-alive=10m 20s",
            "--header-timeout=2s",
            "--body-timeout=1500ms",
            "--write-timeout=1h",
            "--max-header-bytes=8KiB",
            "--max-connections=7",
            "--http-threads=3",
            "--upload-limit=1MiB",
            "--shutdown-delay=10s",
            "--shutdown-timeout=5s",
        ]);
        let expected = ServerLimits {
            keep_alive: Duration::from_secs(620),
            header_timeout: Duration::from_secs(2),
            body_timeout: Duration::from_millis(1500),
            write_timeout: Duration::from_secs(3600),
            max_header_bytes: 8192,
            max_connections: 7,
            http_threads: Some(3),
            upload_limit: 1 << 20,
            shutdown_delay: Duration::from_secs(10),
            shutdown_timeout: Duration::from_secs(5),
        };
        assert_eq!(all, Ok(expected));
        assert_eq!(limits(&["--max-header-bytes=2000"]).unwrap().max_header_bytes, 2000);
    }

    #[test]
    fn what_is_none_is_refused_with_an_example() {
        for (argument, expected) in [
            ("--keep-alive=75", "expected a time with a unit, such as 75s, 500ms or 1m 30s"),
            ("--keep-alive=-75s", "expected a time with a unit"),
            ("--max-header-bytes=8K", "expected a size in bytes, or with a unit, such as 64KiB"),
            ("--max-connections=0", "--max-connections must be from 1 to 1000000, not 0"),
            ("--keep-alive=0s", "--keep-alive must be from 1s to 24h, not 0s"),
        ] {
            let error = limits(&[argument]).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
