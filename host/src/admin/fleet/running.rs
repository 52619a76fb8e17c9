//! The thread of a host that talks to NATS.

use std::io;
use std::sync::Arc;
use std::thread;

use actix_web::rt::Runtime;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::agent::Agent;
use super::leases::keep;
use crate::admin::state::State;
use crate::admin::versions::Deployer;
use crate::fleet::{Membership, Part};

/// A host that is in its fleet, or tries to be. Dropping it ends that: the thread hands over the apps whose leases the host has,
/// and [`Membership::leave`] waits for it. The requests from and to other hosts have their connection until the host has ended.
#[derive(Debug)]
pub(in crate::admin) struct RunningAgent {
    _end: DropGuard,
}

impl RunningAgent {
    /// Starts on a separate thread, so that neither requests nor supervisors wait for it.
    ///
    /// # Errors
    /// The system has no thread for it.
    pub(in crate::admin) fn start(
        fleet: Membership,
        state: State,
        deployer: Arc<Deployer>,
    ) -> io::Result<Self> {
        let end = CancellationToken::new();
        let ((left, has_left), (gone, is_gone)) = (watch::channel(false), watch::channel(false));
        fleet.set_part(Part { end: end.clone(), has_left, is_gone });
        let ends = end.clone();
        let run = move || {
            // Also if this fails.
            let (_gone, left) = (Ended(gone), Ended(left));
            let runtime = match Runtime::new() {
                Ok(runtime) => runtime,
                Err(error) => return log::error!("cannot join the fleet: {error}"),
            };
            runtime.block_on(async {
                let mut agent = Agent::new(fleet, state, deployer);
                let leases = agent.leases();
                actix_web::rt::spawn(keep(leases.clone()));
                ends.run_until_cancelled(agent.run()).await;
                leases.leave().await;
                agent.leave().await;
                drop(left);
                agent.finish().await;
            });
        };
        thread::Builder::new().name("atoll-fleet".to_owned()).spawn(run)?;
        Ok(Self { _end: end.drop_guard() })
    }
}

/// Reports that something has ended.
struct Ended(watch::Sender<bool>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.send_replace(true);
    }
}
