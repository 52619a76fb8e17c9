//! Which instances are still there.

use std::time::Instant;

use foldhash::HashMap;

use super::frame::Instance;
use crate::fleet::call_limits::{PEER_TIMEOUT, PING_INTERVAL};

/// The instances with which this one has exchanges.
#[derive(Debug, Default)]
pub(crate) struct Peers(HashMap<Instance, Peer>);

#[derive(Debug)]
struct Peer {
    /// How many exchanges there are.
    exchanges: usize,
    /// When something was heard of it last, or had to be from then on.
    heard: Instant,
    pinged: Instant,
}

impl Peers {
    /// Takes note of an exchange with an instance. If it is the first one, something has to come of the instance from now on.
    pub(crate) fn begin(&mut self, peer: Instance, now: Instant) {
        let peer = self.0.entry(peer).or_insert(Peer { exchanges: 0, heard: now, pinged: now });
        peer.exchanges += 1;
    }

    /// Takes note that an exchange has ended.
    pub(crate) fn end(&mut self, peer: Instance) {
        if let Some(known) = self.0.get_mut(&peer) {
            known.exchanges -= 1;
            if known.exchanges == 0 {
                self.0.remove(&peer);
            }
        }
    }

    /// Takes note that something has come of an instance.
    pub(crate) fn hear(&mut self, peer: Instance, now: Instant) {
        if let Some(peer) = self.0.get_mut(&peer) {
            peer.heard = now;
        }
    }

    /// Those that are to be pinged now; they are due again after [`PING_INTERVAL`].
    pub(crate) fn take_due(&mut self, now: Instant) -> Vec<Instance> {
        let due = self.0.iter_mut().filter(|(_, peer)| now.duration_since(peer.pinged) >= PING_INTERVAL);
        due.map(|(instance, peer)| {
            peer.pinged = now;
            *instance
        })
        .collect()
    }

    /// Those that have not answered for too long.
    pub(crate) fn silent(&self, now: Instant) -> Vec<Instance> {
        let silent = self.0.iter().filter(|(_, peer)| now.duration_since(peer.heard) >= PEER_TIMEOUT);
        silent.map(|(instance, _)| *instance).collect()
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_are_pinged_as_long_as_there_are_exchanges_with_them() {
        let (mut peers, begun) = (Peers::default(), Instant::now());
        let peer = Instance(1);
        peers.begin(peer, begun);
        peers.begin(peer, begun);
        assert_eq!(peers.take_due(begun), []);
        assert_eq!(peers.take_due(begun + PING_INTERVAL), [peer]);
        assert_eq!(peers.take_due(begun + PING_INTERVAL), []);
        peers.hear(peer, begun + PING_INTERVAL);
        // That it is asked once more is no sign of it.
        peers.begin(peer, begun + PEER_TIMEOUT);
        assert_eq!(peers.silent(begun + PEER_TIMEOUT), []);
        assert_eq!(peers.silent(begun + PING_INTERVAL + PEER_TIMEOUT), [peer]);
        peers.end(peer);
        peers.end(peer);
        assert!(!peers.is_empty());
        peers.end(peer);
        assert!(peers.is_empty());
        peers.end(peer);
        peers.hear(peer, begun);
        assert!(peers.is_empty());
    }
}
