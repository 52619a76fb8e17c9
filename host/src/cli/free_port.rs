//! Listening on an address, or else on the next port that is free.

use std::io;
use std::net::SocketAddr;

use anyhow::{Context, bail};

use super::port_owner::PortOwner;

/// How many ports are tried. Where so many are taken, something else is wrong.
const TRIED: u16 = 100;

/// Listens by `bind` on `address`, which `option` has given; on the next free port, if `find_free` says so and this one
/// is taken.
pub(super) fn listen<T>(
    address: SocketAddr,
    option: &str,
    find_free: bool,
    bind: impl Fn(SocketAddr) -> io::Result<T>,
) -> anyhow::Result<T> {
    match bind(address) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
        bound => return bound.with_context(|| format!("cannot listen on {address}")),
    }
    let by = PortOwner::of(address).map(|owner| format!(" by {owner}")).unwrap_or_default();
    if !find_free {
        bail!(
            "cannot listen on {address}: it is taken{by}; choose another address with {option}, or let \
             --find-free-port choose the next one"
        );
    }
    for port in (1..=TRIED).map_while(|more| address.port().checked_add(more)) {
        let next = SocketAddr::new(address.ip(), port);
        match bind(next) {
            Ok(bound) => {
                log::warn!("{address} is taken{by}: listening on {next}");
                return Ok(bound);
            }
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(error).with_context(|| format!("cannot listen on {next}")),
        }
    }
    bail!("cannot listen on {address}, nor on the {TRIED} ports after it: all are taken")
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
}
