//! The thread of a host that talks to NATS.

use std::io;
use std::sync::Arc;
use std::thread;

use actix_web::rt::Runtime;
use tokio::sync::oneshot;

use super::agent::Agent;
use crate::admin::state::State;
use crate::admin::versions::Deployer;
use crate::fleet::Membership;

/// A host that is in its fleet, or tries to be. Dropping it ends that; the requests from and to other hosts have their connection
/// until the host has ended.
#[derive(Debug)]
pub(in crate::admin) struct RunningAgent {
    /// The thread ends with this.
    _stop: oneshot::Sender<()>,
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
        let (stop, stopped) = oneshot::channel();
        let run = move || {
            let runtime = match Runtime::new() {
                Ok(runtime) => runtime,
                Err(error) => return log::error!("cannot join the fleet: {error}"),
            };
            runtime.block_on(async {
                let mut agent = Agent::new(fleet, state, deployer);
                tokio::select! {
                    () = agent.run() => {}
                    // Only its end is sent.
                    _ = stopped => {}
                }
                agent.finish().await;
            });
        };
        thread::Builder::new().name("atoll-fleet".to_owned()).spawn(run)?;
        Ok(Self { _stop: stop })
    }
}
