//! A host process, looked at from outside.

use std::path::Path;
use std::time::Duration;

use atoll_host::internal::admin::{AdminClient, HostStatus};

use crate::support::{Host, wait_until};
use crate::table::Table;

/// The least memory that the process has in RAM within half a second, in KiB: buffers of requests that are just under
/// way do not count.
pub(crate) fn resident_at_rest_kib(host: &Host) -> u64 {
    let look = |_| {
        std::thread::sleep(Duration::from_millis(25));
        resident_kib(host)
    };
    (0..20).map(look).min().unwrap_or(0)
}

/// The memory that the process has in RAM, in KiB.
pub(crate) fn resident_kib(host: &Host) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", host.pid())).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches("kB").trim().parse().unwrap_or(0)
}

/// How many file descriptors the process has open.
pub(crate) fn open_files(host: &Host) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", host.pid())).map_or(0, Iterator::count)
}

/// Checks that no more file descriptors are open than before, apart from what is under way just now: connections that
/// come and go, and files that are read.
pub(crate) fn check_open_files(table: &mut Table, before: usize, after: usize) {
    let growth = after.saturating_sub(before);
    table.row("file descriptors before", before);
    table.row("file descriptors after", after);
    table.check("file descriptors, more than before", growth, "< 8", growth < 8);
}

/// What `atoll ls --format json` shows.
pub(crate) fn status(host: &Host) -> Result<HostStatus, String> {
    let place = host.folder().join("tmp");
    AdminClient::connect_within(&place, config(host))
        .and_then(|mut client| client.status())
        .map_err(|error| error.to_string())
}

fn config(host: &Host) -> impl AsRef<Path> {
    host.folder().join("apps.json")
}

/// Waits until no generation but those that serve is in the process any more, or is pinned.
pub(crate) fn settle(host: &Host) {
    wait_until("retired generations are gone", || {
        status(host).is_ok_and(|status| {
            let serving = status.apps.iter().filter(|app| app.serving.is_some()).count();
            let busy = status.apps.iter().any(|app| matches!(&*app.phase, "starting" | "closing"));
            !busy && host.mapped().len() <= serving + status.pinned.len()
        })
    });
}

/// Checks what is in the process at the end: so many libraries, nothing pinned, and no more pthread keys than before.
pub(crate) fn check_leftovers(
    table: &mut Table,
    host: &Host,
    keys_before: u32,
    libraries: usize,
) -> Result<(), String> {
    let status = status(host)?;
    let mapped = host.mapped().len();
    let keys = status.process.lowest_free_key;
    table.check("libraries mapped", mapped, libraries, mapped == libraries);
    table.check("generations pinned", status.pinned.len(), 0, status.pinned.is_empty());
    table.check(
        "pthread keys in use, more than before",
        i64::from(keys) - i64::from(keys_before),
        "at most 0",
        keys <= keys_before,
    );
    Ok(())
}
