//! Listening on an address, or else on the next port that is free.

use std::io;
use std::net::SocketAddr;

use anyhow::{anyhow, bail};

use super::port_owner::PortOwner;

/// How many ports are tried. Where so many are taken, something else is wrong.
const TRIED: u16 = 100;

/// Listens with `bind` on `address`, the value of `option`; on the next free port if `find_free` is set and this one is
/// in use.
pub(super) fn listen<T>(
    address: SocketAddr,
    option: &str,
    find_free: bool,
    bind: impl Fn(SocketAddr) -> io::Result<T>,
) -> anyhow::Result<T> {
    match bind(address) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
        bound => return bound.map_err(|error| refused(address, option, &error)),
    }
    let by = PortOwner::find(address).map(|owner| format!(" by {owner}")).unwrap_or_default();
    if !find_free {
        bail!(
            "cannot listen on {address}: it is in use{by}; choose another address with {option}, or use \
            --find-free-port"
        );
    }
    for port in (1..=TRIED).map_while(|more| address.port().checked_add(more)) {
        let next = SocketAddr::new(address.ip(), port);
        match bind(next) {
            Ok(bound) => {
                log::warn!("{address} is in use{by}: listening on {next}");
                return Ok(bound);
            }
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(refused(next, option, &error)),
        }
    }
    bail!(
        "cannot listen on {address} or the {TRIED} ports after it: all are in use; choose another address with {option}"
    )
}

/// An address that is not taken and cannot be listened on all the same.
fn refused(address: SocketAddr, option: &str, error: &io::Error) -> anyhow::Error {
    let remedy = match error.kind() {
        io::ErrorKind::AddrNotAvailable => format!("; choose one of this machine's addresses with {option}"),
        io::ErrorKind::PermissionDenied => format!(
            "; ports below 1024 need a privilege: choose another with {option}, or grant CAP_NET_BIND_SERVICE"
        ),
        _ => String::new(),
    };
    anyhow!("cannot listen on {address}: {error}{remedy}")
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn the_next_free_port_is_taken_if_that_is_wanted() {
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = first.local_addr().unwrap();
        let next = listen(address, "--listen", true, TcpListener::bind).unwrap();
        assert!(next.local_addr().unwrap().port() > address.port());
        let refused = listen(address, "--listen", false, TcpListener::bind).unwrap_err().to_string();
        assert!(refused.contains("another address with --listen"), "{refused}");
        assert!(refused.contains(&format!("(process {})", std::process::id())), "{refused}");
    }

    #[test]
    fn what_is_not_for_want_of_a_free_port_ends_the_search() {
        let taken: SocketAddr = "127.0.0.1:80".parse().unwrap();
        let refused = |rest: io::ErrorKind| {
            let bind = |address: SocketAddr| -> io::Result<()> {
                Err(if address == taken { io::ErrorKind::AddrInUse } else { rest }.into())
            };
            listen(taken, "--admin", true, bind).unwrap_err().to_string()
        };
        let privileged = refused(io::ErrorKind::PermissionDenied);
        assert!(privileged.starts_with("cannot listen on 127.0.0.1:81: permission denied; ports below 1024"));
        assert!(privileged.contains("choose another with --admin"), "{privileged}");
        let all = refused(io::ErrorKind::AddrInUse);
        assert!(all.contains("or the 100 ports after it: all are in use; choose another"), "{all}");
    }
}
