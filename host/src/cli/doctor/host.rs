//! The host that runs for the registry, and the port for one.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use atoll_host::ListenAddress;
use atoll_host::internal::admin::{AdminClient, AdminError, AppStatus, HostStatus};

use super::super::port_owner::PortOwner;
use super::super::units;
use super::certificates;
use super::finding::Finding;
use super::server;

pub(super) fn check(config: &Path, listen: &[ListenAddress]) -> Vec<Finding> {
    let status = AdminClient::connect(config).and_then(|mut host| Ok((host.status()?, host.config())));
    let mut findings = match &status {
        Ok((status, config)) => {
            let limits = match config {
                Ok(config) => server::check(&config.limits, status.process.pid),
                Err(error) => {
                    let remedy = "restart the host with the version of this command";
                    vec![Finding::warning("limits of the server", error.to_string(), remedy)]
                }
            };
            let certificates = certificates::check(&status.certificates);
            running(status).into_iter().chain(limits).chain(certificates).collect()
        }
        Err(AdminError::NoHost { .. }) => vec![Finding::ok("host", "not running for this apps.json")],
        Err(error) => {
            vec![Finding::problem("host", error.to_string(), "if this persists, restart the host")]
        }
    };
    let host = status.ok().map(|(status, _)| status.process.pid);
    findings.extend(listen.iter().flat_map(|address| listening(address, host)));
    findings
}

fn listening(address: &ListenAddress, host: Option<u32>) -> Vec<Finding> {
    let check = format!("address {address}");
    match (address, address.resolve()) {
        (_, Err(error)) => vec![Finding::problem(
            check,
            error.to_string(),
            "choose a name that this machine knows with --listen, or an address",
        )],
        (ListenAddress::Unix { path, .. }, _) => vec![folder_of(path, check)],
        (_, Ok(addresses)) => addresses.into_iter().map(|address| port(address, host)).collect(),
    }
}

/// Whether the folder of a Unix socket is there.
fn folder_of(socket: &Path, check: String) -> Finding {
    let folder = socket.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if folder.is_dir() {
        return Finding::ok(check, format!("the folder {} is there", folder.display()));
    }
    let found = format!("{} is no folder", folder.display());
    Finding::problem(check, found, "make it, or have systemd do so with RuntimeDirectory=")
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
            "restart the host with this version, or replace it with `atoll serve --takeover`",
        )
    };
    let mut findings = vec![host];
    findings.extend(status.apps.iter().map(app));
    findings.extend(status.pinned.iter().map(|pinned| {
        Finding::warning(
            format!("{}#{}", pinned.app, pinned.generation),
            format!("pinned: {}", pinned.reason),
            "it uses memory until this ends or the host is restarted",
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
                "see `atoll describe {name}` and `atoll logs {name}`; then run `atoll start {name}`, or install a \
                good library"
            ),
        ),
        "blocked" => Finding::problem(
            check,
            format!("blocked: {last}"),
            format!(
                "run `atoll ls` to see why its generations are pinned; raise `max_pinned` of {name}, or restart the \
                host"
            ),
        ),
        "resting" => {
            Finding::warning(check, format!("waiting to restart: {last}"), format!("see `atoll logs {name}`"))
        }
        "disabled" => Finding::warning(check, "disabled", format!("`atoll enable {name}`")),
        phase => match refused(app) {
            Some(reason) => Finding::warning(
                check,
                format!("{phase}; its newest library was refused: {reason}"),
                format!(
                    "the previous one keeps serving; install a good library, or see `atoll describe {name}`"
                ),
            ),
            None => Finding::ok(check, phase),
        },
    }
}

/// Why the newest library failed to start.
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
    let mut owners: Vec<PortOwner> = PortOwner::all(address).collect();
    let own = owners.iter().position(|owner| Some(owner.pid) == host);
    let owner = (!owners.is_empty()).then(|| owners.swap_remove(own.unwrap_or(0)));
    match (error.kind(), owner) {
        (ErrorKind::AddrInUse, Some(owner)) if Some(owner.pid) == host => {
            Finding::ok(check, "this host is listening")
        }
        (ErrorKind::AddrInUse, owner) => {
            let by = owner.map_or_else(|| "another user's process".to_owned(), |owner| owner.to_string());
            let remedy = "stop that process, choose another address with --listen, or use --find-free-port";
            Finding::warning(check, format!("in use by {by}"), remedy)
        }
        (ErrorKind::PermissionDenied, _) => Finding::problem(
            check,
            error.to_string(),
            "ports below 1024 need a privilege: choose another with --listen, or grant CAP_NET_BIND_SERVICE",
        ),
        _ => {
            Finding::problem(check, error.to_string(), "choose one of this machine's addresses with --listen")
        }
    }
}
