//! What a host knows of the leases of its fleet.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::timeout;

use crate::admin::state::State;
use crate::admin::versions::Deployer;
use crate::app::handle::App;
use crate::app::lease::clock;
use crate::fleet::nats::{Fleet, Seen};
use crate::fleet::{Holder, LEAVE_LIMIT, Lease, Membership};

/// What this host knows of the leases of its fleet, and which it has.
pub(super) struct LeaseBook {
    pub(super) state: State,
    pub(super) deployer: Arc<Deployer>,
    fleet: Membership,
    /// What tells this process from others.
    instance: String,
    link: RefCell<Option<Link>>,
    /// What was last seen of the leases over this connection.
    seen: RefCell<HashMap<String, SeenLease>>,
    /// Notifies that one of these has changed.
    pub(super) changed: watch::Sender<()>,
    /// The host takes no leases any more.
    is_leaving: Cell<bool>,
    /// The apps that it is not to run, because it removes them.
    kept_off: RefCell<HashSet<String>>,
    /// The apps whose leases it has, or which it still stops.
    held: watch::Sender<HashSet<String>>,
}

/// A connection to NATS.
#[derive(Clone)]
pub(super) struct Link {
    pub(super) fleet: Rc<Fleet>,
    /// How long a lease lasts.
    pub(super) ttl: Duration,
    /// Since when there is this connection.
    since: Duration,
}

/// The lease of an app, when it was written last: `None`: it was deleted.
struct SeenLease {
    lease: Option<Lease>,
    at: Duration,
}

impl LeaseBook {
    /// That of a host without a connection; `instance` tells its process from others.
    pub(super) fn new(
        fleet: Membership,
        state: State,
        deployer: Arc<Deployer>,
        instance: String,
    ) -> Rc<Self> {
        Rc::new(Self {
            state,
            deployer,
            fleet,
            instance,
            link: RefCell::default(),
            seen: RefCell::default(),
            changed: watch::Sender::new(()),
            is_leaving: Cell::new(false),
            kept_off: RefCell::default(),
            held: watch::Sender::default(),
        })
    }

    /// Takes note of a connection.
    pub(super) fn connect(&self, fleet: &Rc<Fleet>) {
        self.seen.borrow_mut().clear();
        let link = match fleet.lease_ttl() {
            Ok(ttl) => Some(Link { fleet: fleet.clone(), ttl, since: clock() }),
            Err(error) => {
                log::error!("this host runs no app with `instances`: {error}");
                None
            }
        };
        self.set_link(link);
    }

    /// Takes note that the connection was lost.
    pub(super) fn disconnect(&self) {
        self.set_link(None);
    }

    /// Takes note of a lease that was written or deleted.
    pub(super) fn note(&self, seen: Seen<Lease>) {
        let Some(Link { ttl, .. }) = self.link() else { return };
        let Seen { name, value: lease, .. } = seen;
        let holder = lease.as_ref().map(|Lease { host, since_ms, .. }| {
            (Holder { host: host.clone(), since_ms: *since_ms }, Instant::now() + ttl)
        });
        self.fleet.set_holder(&name, holder);
        self.seen.borrow_mut().insert(name, SeenLease { lease, at: clock() });
        self.changed.send_replace(());
    }

    /// Hands an app over to another host, if this one has its lease, and keeps this one from taking it until what is returned is
    /// dropped.
    pub(super) async fn keep_off(self: &Rc<Self>, app: &str) -> KeptOff {
        self.kept_off.borrow_mut().insert(app.to_owned());
        let kept_off = KeptOff { book: self.clone(), app: app.to_owned() };
        self.changed.send_replace(());
        // The other end lives as long as this.
        let _ = self.held.subscribe().wait_for(|held| !held.contains(app)).await;
        kept_off
    }

    /// Hands over all apps whose leases this host has, and takes none any more.
    pub(super) async fn leave(&self) {
        self.is_leaving.set(true);
        self.changed.send_replace(());
        let mut held = self.held.subscribe();
        if timeout(LEAVE_LIMIT, held.wait_for(HashSet::is_empty)).await.is_err() {
            let left: Vec<_> = self.held.borrow().iter().cloned().collect();
            log::warn!("{}: not handed over within {LEAVE_LIMIT:?}", left.join(", "));
        }
    }

    /// The connection, if there is one.
    pub(super) fn link(&self) -> Option<Link> {
        self.link.borrow().clone()
    }

    fn set_link(&self, link: Option<Link>) {
        *self.link.borrow_mut() = link;
        self.changed.send_replace(());
    }

    /// A lease of this host from now on.
    pub(super) fn own_lease(&self, since_ms: u64) -> Lease {
        Lease { host: self.fleet.host().to_owned(), instance: self.instance.clone(), since_ms }
    }

    /// Whether the app is registered and needs a lease.
    pub(super) fn has(&self, app: &Arc<App>) -> bool {
        self.is_registered(app) && app.needs_lease()
    }

    /// Whether the app is registered.
    pub(super) fn is_registered(&self, app: &Arc<App>) -> bool {
        self.state.registry.get(app.name()).is_some_and(|registered| Arc::ptr_eq(&registered, app))
    }

    /// Whether this host may take the lease of the app.
    pub(super) fn may_take(&self, app: &str) -> bool {
        !self.is_leaving.get() && !self.kept_off.borrow().contains(app)
    }

    /// From when the key of an app may not be there.
    pub(super) fn free_from(&self, app: &str, link: &Link) -> Duration {
        match self.seen.borrow().get(app) {
            None => link.since,
            Some(SeenLease { lease: Some(lease), at }) if lease.instance != self.instance => *at + link.ttl,
            Some(SeenLease { at, .. }) => *at,
        }
    }

    /// The host that has the lease of an app, as far as known.
    pub(super) fn holder(&self, app: &str) -> Option<String> {
        let link = self.link()?;
        let seen = self.seen.borrow();
        let SeenLease { lease, at } = seen.get(app)?;
        lease.as_ref().filter(|_| clock() < *at + link.ttl).map(|lease| lease.host.clone())
    }

    /// Takes note of whether this host has the lease of an app, or still stops it.
    pub(super) fn set_held(&self, app: &str, is_held: bool) {
        self.held.send_modify(|held| {
            if is_held {
                held.insert(app.to_owned());
            } else {
                held.remove(app);
            }
        });
    }
}

/// An app that this host is not to run. Dropping it ends that.
pub(super) struct KeptOff {
    book: Rc<LeaseBook>,
    app: String,
}

impl Drop for KeptOff {
    fn drop(&mut self) {
        self.book.kept_off.borrow_mut().remove(&self.app);
    }
}
