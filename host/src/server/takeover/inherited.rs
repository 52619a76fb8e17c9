//! The listeners of the host that is replaced.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;

use super::messages::Role;
use crate::server::address::ListenAddress;
use crate::server::listeners::{Listener, ListeningSocket};

/// The listeners of the host that is replaced, as far as nobody uses them yet. Those that nobody uses are closed.
#[derive(Debug, Default)]
pub struct InheritedSockets(Vec<(Role, Listener)>);

impl InheritedSockets {
    pub(super) fn push(&mut self, role: Role, listener: Listener) {
        self.0.push((role, listener));
    }

    /// Takes those for an address: those for which the operator has written the same, or that listen there.
    pub fn take(&mut self, address: &ListenAddress, role: Role) -> Vec<Listener> {
        let same =
            self.extract(|found, listener| found == role && listener.address.as_ref() == Some(address));
        let mut taken =
            if same.is_empty() { self.extract(|_, listener| listener.listens_on(address)) } else { same };
        for listener in &mut taken {
            listener.address = Some(address.clone());
            set_mode(listener, address);
        }
        taken
    }

    /// Takes those that a service manager has opened.
    pub fn take_passed(&mut self) -> Vec<Listener> {
        self.extract(|role, listener| {
            role == Role::Serve && matches!(listener.address, Some(ListenAddress::Passed(_)))
        })
    }

    /// Takes the admin listener, if it is at this address; with `any_port`, or for port 0, at any port of it.
    pub fn take_admin(&mut self, address: SocketAddr, any_port: bool) -> Option<TcpListener> {
        let any_port = any_port || address.port() == 0;
        let is_it = |own: SocketAddr| own.ip() == address.ip() && (any_port || own.port() == address.port());
        let taken =
            self.extract(|role, listener| role == Role::Admin && listener.address().is_some_and(is_it));
        taken.into_iter().find_map(|listener| match listener.socket {
            ListeningSocket::Tcp(listener) => Some(listener),
            ListeningSocket::Unix(_) => None,
        })
    }

    fn extract(&mut self, is_it: impl Fn(Role, &Listener) -> bool) -> Vec<Listener> {
        self.0
            .extract_if(.., |(role, listener)| is_it(*role, listener))
            .map(|(_, listener)| listener)
            .collect()
    }
}

/// Gives the file of a Unix socket the permissions that the new host wants for it.
fn set_mode(listener: &Listener, address: &ListenAddress) {
    let (Some(file), ListenAddress::Unix { mode, .. }) = (&listener.file, address) else { return };
    if let Err(error) = std::fs::set_permissions(file.path(), PermissionsExt::from_mode(*mode)) {
        log::warn!("cannot set the permissions of {} to {mode:o}: {error}", file.path().display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(address: &str) -> ListenAddress {
        address.parse().unwrap()
    }

    fn inherited(all: &[(Role, &str)]) -> InheritedSockets {
        let listener = |address: &ListenAddress| {
            let bound = Listener::all_tcp(&address.resolve().unwrap()).unwrap().remove(0);
            bound.at(address.clone())
        };
        InheritedSockets(all.iter().map(|(role, address)| (*role, listener(&at(address)))).collect())
    }

    #[test]
    fn sockets_are_found_by_what_was_written_and_by_where_they_listen() {
        let both = [(Role::Serve, "127.0.0.1:0"), (Role::Redirect, "127.0.0.1:0")];
        let mut sockets = inherited(&both);
        let [first, second] = [0, 1].map(|number| sockets.0[number].1.address().unwrap());
        let redirecting = sockets.take(&at("127.0.0.1:0"), Role::Redirect);
        assert_eq!(redirecting[0].address(), Some(second), "that of the same role");
        assert!(sockets.take(&at(&second.to_string()), Role::Serve).is_empty());
        let serving = sockets.take(&at(&first.to_string()), Role::Redirect);
        assert_eq!(serving[0].address(), Some(first), "that of another role, at the same address");
        assert!(sockets.0.is_empty());
    }

    #[test]
    fn the_admin_listener_is_found_by_its_address() {
        let mut sockets = inherited(&[(Role::Admin, "127.0.0.1:0"), (Role::Serve, "127.0.0.1:0")]);
        let [own, other] = [0, 1].map(|number| sockets.0[number].1.address().unwrap());
        assert!(sockets.take_admin(other, false).is_none());
        assert_eq!(sockets.take_admin(own, false).unwrap().local_addr().unwrap(), own);
        let mut sockets = inherited(&[(Role::Admin, "127.0.0.1:0")]);
        assert!(sockets.take_admin(other, true).is_some());
    }
}
