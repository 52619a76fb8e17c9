//! The host that runs for the registry, and the port for one.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use atoll_host::internal::admin::{AdminClient, AdminError, AppStatus, HostStatus};

use super::super::port_owner::PortOwner;
use super::super::units;
use super::finding::Finding;

pub(super) fn check(config: &Path, listen: SocketAddr) -> Vec<Finding> {
    let status = AdminClient::connect(config).and_then(|mut host| host.status());
    let mut findings = match &status {
        Ok(status) => running(status),
        Err(AdminError::NoHost { .. }) => vec![Finding::ok("host", "none runs for this registry")],
        Err(error) => {
            vec![Finding::problem("host", error.to_string(), "if it stays so, restart the host")]
        }
    };
    findings.push(port(listen, status.ok().map(|status| status.process.pid)));
    findings
}

fn running(status: &HostStatus) -> Vec<Finding> {
    let process = &status.process;
    let found = format!(
        "process {}, {} up, version {}",
        process.pid,
        units::since(process.started_ms),
        process.version
    );
    let host = if process.version == env!("CARGO_PKG_VERSION") {
        Finding::ok("host", found)
    } else {
        let own = env!("CARGO_PKG_VERSION");
        Finding::warning(
            "host",
            format!("{found}; this command is {own}"),
            "restart the host with this version",
        )
    };
    let mut findings = vec![host];
    findings.extend(status.apps.iter().map(app));
    findings.extend(status.pinned.iter().map(|pinned| {
        Finding::warning(
            format!("{}#{}", pinned.app, pinned.generation),
            format!("pinned: {}", pinned.reason),
            "it takes memory until that is over, or the host is restarted",
        )
    }));
    findings
}

fn app(app: &AppStatus) -> Finding {
    let (name, check) = (&app.name, format!("app {}", app.name));
    let last =
        app.history.last().map(|entry| format!("#{} {}: {}", entry.generation, entry.state, entry.reason));
    let last = last.unwrap_or_default();
    match &*app.phase {
        "failed" => Finding::problem(
            check,
            format!("failed: {last}"),
            format!(
                "see `atoll describe {name}` and `atoll logs {name}`; then `atoll start {name}`, or put a good \
                 library there"
            ),
        ),
        "blocked" => Finding::problem(
            check,
            format!("blocked: {last}"),
            format!(
                "`atoll ls` shows what keeps its pinned generations in memory; raise `max_pinned` of {name}, or restart the host"
            ),
        ),
        "resting" => Finding::warning(
            check,
            format!("waits before it is started again: {last}"),
            format!("see `atoll logs {name}`"),
        ),
        "disabled" => Finding::warning(check, "is disabled", format!("`atoll enable {name}`")),
        phase => match refused(app) {
            Some(reason) => Finding::warning(
                check,
                format!("{phase}; its newest library was refused: {reason}"),
                format!("the one before goes on; put a good library there, or see `atoll describe {name}`"),
            ),
            None => Finding::ok(check, phase),
        },
    }
}

/// Why the newest library did not come to serve.
fn refused(app: &AppStatus) -> Option<&str> {
    let decided = app.history.iter().rev().find(|entry| matches!(&*entry.state, "serving" | "refused"))?;
    (decided.state == "refused").then_some(&*decided.reason)
}

fn port(address: SocketAddr, host: Option<u32>) -> Finding {
    let check = format!("address {address}");
    let error = match TcpListener::bind(address) {
        Ok(_) => return Finding::ok(check, "free"),
        Err(error) => error,
    };
    let owner = PortOwner::of(address);
    match (error.kind(), owner) {
        (ErrorKind::AddrInUse, Some(owner)) if Some(owner.pid) == host => {
            Finding::ok(check, "this host listens")
        }
        (ErrorKind::AddrInUse, owner) => {
            let by = owner.map_or_else(|| "another user's process".to_owned(), |owner| owner.to_string());
            let remedy =
                "end that process, or give `atoll serve` another address with --listen, or --find-free-port";
            Finding::warning(check, format!("taken by {by}"), remedy)
        }
        (ErrorKind::PermissionDenied, _) => Finding::problem(
            check,
            error.to_string(),
            "ports below 1024 are not for every user: choose another with --listen, or give the command \
             CAP_NET_BIND_SERVICE",
        ),
        _ => Finding::problem(check, error.to_string(), "choose an address of this machine with --listen"),
    }
}
