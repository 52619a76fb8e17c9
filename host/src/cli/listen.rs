//! The options for where a server listens.

use std::net::SocketAddr;

use anyhow::{Context, anyhow, bail};
use atoll_host::ListenAddress;
use atoll_host::internal::listeners::Listener;
use atoll_host::internal::service_manager::PassedSockets;
use atoll_host::internal::takeover::{InheritedSockets, Role};
use clap::Args;

use super::free_port;

/// Where a host listens without options, sockets from a service manager and `PORT`.
const DEFAULT: &str = "127.0.0.1:3000";

/// The variable with the port of containers and platforms.
const PORT: &str = "PORT";

/// Where a server listens.
#[derive(Args, Clone, Debug)]
pub(super) struct ListenArgs {
    /// Listen on this address: 127.0.0.1:3000, localhost:3000, :3000 (all interfaces), unix:PATH, unix:PATH,mode=660, or
    /// fd:NAME for sockets from systemd. Repeatable. Without it: all sockets from systemd, or else all interfaces with the
    /// port in the variable PORT, or else 127.0.0.1:3000.
    #[arg(long = "listen", value_name = "ADDRESS")]
    addresses: Vec<ListenAddress>,
    /// If the port is in use, listen on the next free one.
    #[arg(long)]
    pub(super) find_free_port: bool,
    /// Also listen on this address, without TLS, and redirect its requests to HTTPS. Repeatable.
    #[arg(long, value_name = "ADDRESS", requires = "https")]
    redirect_http: Vec<ListenAddress>,
}

/// The sockets that are open already.
#[derive(Debug, Default)]
pub(super) struct OpenSockets {
    /// Those from the service manager.
    pub(super) passed: PassedSockets,
    /// Those of the host that this one replaces.
    pub(super) inherited: InheritedSockets,
}

impl OpenSockets {
    fn take(&mut self, address: &ListenAddress, role: Role) -> Vec<Listener> {
        let passed = self.passed.take(address);
        if passed.is_empty() { self.inherited.take(address, role) } else { passed }
    }

    /// Takes all that a service manager has opened, for this process or for the one before.
    fn take_passed(&mut self) -> Vec<Listener> {
        if self.passed.is_empty() { self.inherited.take_passed() } else { self.passed.take_all() }
    }
}

impl ListenArgs {
    /// The sockets for requests.
    pub(super) fn serving(&self, open: &mut OpenSockets) -> anyhow::Result<Vec<Listener>> {
        if !self.addresses.is_empty() {
            return self.all(&self.addresses, Role::Serve, "--listen", open);
        }
        let passed = open.take_passed();
        if !passed.is_empty() {
            return Ok(passed);
        }
        let (address, option) = match std::env::var(PORT) {
            Ok(port) => (of_port(&port)?, PORT),
            Err(_) => (DEFAULT.parse()?, "--listen"),
        };
        self.all(&[address], Role::Serve, option, open)
    }

    /// The sockets whose requests are redirected.
    pub(super) fn redirecting(&self, open: &mut OpenSockets) -> anyhow::Result<Vec<Listener>> {
        self.all(&self.redirect_http, Role::Redirect, "--redirect-http", open)
    }

    fn all(
        &self,
        addresses: &[ListenAddress],
        role: Role,
        option: &str,
        open: &mut OpenSockets,
    ) -> anyhow::Result<Vec<Listener>> {
        let mut listeners = Vec::new();
        for address in addresses {
            let there = open.take(address, role);
            if there.is_empty() {
                let opened = self.listen(address, option)?;
                listeners.extend(opened.into_iter().map(|listener| listener.at(address.clone())));
            } else {
                listeners.extend(there);
            }
        }
        Ok(listeners)
    }

    fn listen(&self, address: &ListenAddress, option: &str) -> anyhow::Result<Vec<Listener>> {
        match address {
            ListenAddress::Passed(name) => bail!(
                "the service manager passed no socket `{name}` for {option}: set FileDescriptorName={name} in the .socket unit"
            ),
            ListenAddress::Unix { path, mode } => match Listener::unix(path.clone(), *mode) {
                Ok(listener) => Ok(vec![listener]),
                Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => bail!(
                    "cannot listen on {}: another process does; choose another path with {option}",
                    path.display()
                ),
                Err(error) => Err(anyhow!(
                    "cannot listen on {}: {error}; with {option}, choose a path in an existing folder in which this user may \
                     create files",
                    path.display()
                )),
            },
            ListenAddress::Tcp { .. } => {
                let addresses = address.resolve().with_context(|| format!("cannot listen on {address}"))?;
                let Some(first) = addresses.first() else {
                    bail!("cannot listen on {address}: the name has no address");
                };
                // All of them get the same port.
                let bind = |address: SocketAddr| {
                    let same: Vec<_> =
                        addresses.iter().map(|other| SocketAddr::new(other.ip(), address.port())).collect();
                    Listener::all_tcp(&same)
                };
                free_port::listen(*first, option, self.find_free_port, bind)
            }
        }
    }
}

/// All interfaces, with the port in the variable.
fn of_port(port: &str) -> anyhow::Result<ListenAddress> {
    let port = port.parse().ok().filter(|port| *port > 0);
    let port = port.with_context(|| "the variable PORT is not a port: expected a number from 1 to 65535")?;
    Ok(ListenAddress::Tcp { host: None, port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_of_the_environment_is_one_of_all_interfaces() {
        assert_eq!(of_port("8080").unwrap(), ":8080".parse().unwrap());
        for port in ["", "0", "70000", "http", ":80"] {
            assert!(of_port(port).unwrap_err().to_string().contains("from 1 to 65535"), "{port}");
        }
    }
}
