//! How many connections each client has.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::limits::ADDRESS_PERCENT;
use crate::http::trusted_proxies::TrustedProxies;
use crate::observe::throttle::Throttle;

/// How many lines in a second say that a client has too many.
const LINES_PER_SECOND: NonZeroU32 = NonZeroU32::MIN;

/// The clients that have connections, on all HTTP threads.
#[derive(Debug)]
pub(crate) struct Addresses {
    /// How many connections each may have.
    most: usize,
    /// They may have any number, as they bring those of other clients.
    proxies: TrustedProxies,
    open: Mutex<HashMap<IpAddr, usize>>,
    refused: Throttle,
}

/// A connection of a client's, for as long as it is open.
#[derive(Debug)]
pub(super) struct Place {
    client: IpAddr,
    addresses: Arc<Addresses>,
}

impl Addresses {
    /// Each client gets its share of so many `connections`.
    pub(crate) fn new(connections: usize, proxies: TrustedProxies) -> Arc<Self> {
        let most = (connections.saturating_mul(ADDRESS_PERCENT) / 100).max(1);
        Arc::new(Self { most, proxies, open: Mutex::default(), refused: Throttle::new(LINES_PER_SECOND) })
    }

    /// Counts a connection. `Err`: its client has as many as it may have.
    pub(super) fn admit(self: &Arc<Self>, peer: Option<SocketAddr>) -> Result<Option<Place>, ()> {
        let Some(address) = peer.map(|peer| peer.ip().to_canonical()) else { return Ok(None) };
        if self.proxies.contains(Some(address)) {
            return Ok(None);
        }
        let client = client(address);
        {
            let mut open = self.open();
            let count = open.entry(client).or_default();
            if *count < self.most {
                *count += 1;
                return Ok(Some(Place { client, addresses: self.clone() }));
            }
        }
        if let Some(left_out) = self.refused.pass() {
            log::warn!(
                "{address} has {} connections, connections_per_address_percent = {ADDRESS_PERCENT}: {} closed. A \
                 proxy that brings other clients is named with --trusted-proxy",
                self.most,
                if left_out == 0 { "one more is".to_owned() } else { format!("{} more are", left_out + 1) }
            );
        }
        Err(())
    }

    fn open(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The client with an address: in IPv6 one has a whole network with a prefix of 64 bits.
fn client(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.addresses.open();
        if let Some(count) = open.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::trusted_proxies::TrustedProxy;

    fn peer(address: &str) -> Option<SocketAddr> {
        Some(SocketAddr::new(address.parse().unwrap(), 1))
    }

    #[test]
    fn each_client_has_its_share() {
        let addresses =
            Addresses::new(5, ["10.0.0.0/8".parse::<TrustedProxy>().unwrap()].into_iter().collect());
        let first: Vec<_> = (0..2).map(|_| addresses.admit(peer("1.2.3.4")).unwrap().unwrap()).collect();
        assert!(addresses.admit(peer("1.2.3.4")).is_err());
        assert!(addresses.admit(peer("::ffff:1.2.3.4")).is_err(), "it is the same client");
        assert!(addresses.admit(peer("1.2.3.5")).unwrap().is_some());
        for _ in 0..10 {
            assert!(addresses.admit(peer("10.9.8.7")).unwrap().is_none(), "a proxy");
        }
        drop(first);
        assert!(addresses.admit(peer("1.2.3.4")).is_ok());
        assert!(addresses.open().is_empty(), "nothing is kept of who has left");
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        let addresses = Addresses::new(2, TrustedProxies::default());
        let _place = addresses.admit(peer("2001:db8:0:1::1")).unwrap();
        assert!(addresses.admit(peer("2001:db8:0:1:ffff::2")).is_err());
        assert!(addresses.admit(peer("2001:db8:0:2::1")).is_ok());
    }
}
