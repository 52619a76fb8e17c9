//! Carrying out what the record of an app asks of this host.

use std::rc::Rc;
use std::sync::Arc;

use super::lease_book::LeaseBook;
use super::report::shortened;
use crate::admin::state::State;
use crate::admin::versions::{Deployer, NewAppVersion};
use crate::deploy::UPLOAD_PIECE;
use crate::dispatch::problem::Problem;
use crate::fleet::nats::{Fleet, FleetError};
use crate::fleet::{Local, Membership, Record, Release, Task, Untrusted, task};

/// What carries out what records ask for.
#[derive(Clone)]
pub(super) struct Worker {
    pub(super) state: State,
    pub(super) deployer: Arc<Deployer>,
    pub(super) fleet: Membership,
    pub(super) leases: Rc<LeaseBook>,
}

/// What came of a record.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The host has what it is to have, or is on its way.
    Done,
    /// It cannot have it.
    Refused {
        /// The version's id; empty: the removal.
        version: String,
        reason: String,
    },
    /// It cannot be found out now.
    Unreachable(FleetError),
}

/// Why a version is not served.
enum Failure {
    Problem(Problem),
    Fleet(FleetError),
    Untrusted(Untrusted),
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<FleetError> for Failure {
    fn from(error: FleetError) -> Self {
        Self::Fleet(error)
    }
}

impl From<Untrusted> for Failure {
    fn from(reason: Untrusted) -> Self {
        Self::Untrusted(reason)
    }
}

/// The most steps for one record: a rollout of the host itself ends, and a version is served.
const STEPS: usize = 2;

impl Worker {
    /// Carries out what a record asks for. `refused`: the revision whose target the host has refused.
    pub(super) async fn carry_out(
        &self,
        fleet: &Fleet,
        app: &str,
        (record, revision): (&Record, u64),
        refused: Option<u64>,
    ) -> Outcome {
        for _ in 0..STEPS {
            let (version, done) = match self.task(app, record, revision, refused).await {
                Ok(Task::Nothing) => return Outcome::Done,
                Ok(Task::Serve(release)) => {
                    let version = release.version.clone();
                    (version, self.serve(fleet, app, *release).await)
                }
                Ok(Task::GoBack) => {
                    log::info!("{app}: the fleet goes back from its last version");
                    (String::new(), self.deployer.withdraw(app).await.map_err(Failure::from))
                }
                Ok(Task::Remove) => {
                    log::info!("{app}: the fleet has removed it");
                    (String::new(), self.deployer.remove(app.to_owned()).await.map_err(Failure::from))
                }
                Ok(Task::Leave) => {
                    log::info!("{app}: removed here, as it is for hosts with other labels (`on`)");
                    (String::new(), self.leave(app).await.map_err(Failure::from))
                }
                Err(problem) => (String::new(), Err(problem.into())),
            };
            let reason = match done {
                Ok(()) => continue,
                Err(Failure::Problem(problem)) => problem.to_string(),
                Err(Failure::Untrusted(reason)) => reason.to_string(),
                Err(Failure::Fleet(error @ FleetError::NoLibrary(_))) => error.to_string(),
                Err(Failure::Fleet(error @ FleetError::Damaged { .. })) => {
                    format!("{error}; remove it there, and deploy the app again")
                }
                Err(Failure::Fleet(error @ FleetError::Incomplete { .. })) => {
                    format!("{error}; deploy the app again")
                }
                Err(Failure::Fleet(error)) => return Outcome::Unreachable(error),
            };
            return Outcome::Refused { version, reason: shortened(reason) };
        }
        Outcome::Done
    }

    async fn task(
        &self,
        app: &str,
        record: &Record,
        revision: u64,
        refused: Option<u64>,
    ) -> Result<Task, Problem> {
        let local = Local {
            is_registered: self.state.registry.config(app).is_some(),
            current: self.deployer.known(app).await?.current,
            rolling: self.state.rollouts.running(app).map(|rollout| rollout.version),
            refused,
        };
        Ok(task(record, revision, (self.fleet.host(), &self.fleet.settings().labels), &local))
    }

    /// Removes an app from this host, whose state another one may continue with.
    async fn leave(&self, app: &str) -> Result<(), Problem> {
        let _kept_off = self.leases.keep_off(app).await;
        self.deployer.remove(app.to_owned()).await
    }

    /// Checks who has signed a version, fetches its files, and serves it as if it had been pushed to this host.
    async fn serve(&self, fleet: &Fleet, app: &str, release: Release) -> Result<(), Failure> {
        self.fleet.check(app, &release)?;
        let Release { library, libraries, entry, note, by, .. } = release;
        for hash in libraries.iter().map(|shared| &shared.hash).chain([&library]) {
            self.fetch(fleet, app, hash).await?;
        }
        let new = NewAppVersion { library, libraries, entry, note, promote: true, again: false };
        self.deployer.clone().push(app.to_owned(), by, new).await?;
        Ok(())
    }

    /// Fetches what the host does not have of a file. One that was damaged on its way, or in the object store, is refused.
    async fn fetch(&self, fleet: &Fleet, app: &str, hash: &str) -> Result<(), Failure> {
        let (name, file) = (app.to_owned(), hash.to_owned());
        let mut status = self.deployer.received(name.clone(), file.clone()).await?;
        if status.complete {
            return Ok(());
        }
        let mut object = fleet.library(hash).await?;
        let size = object.size();
        // What the host has of it from before is not fetched once more, but read over.
        object.skip(status.received).await?;
        while !status.complete {
            let length = UPLOAD_PIECE.min(size.saturating_sub(status.received) as usize);
            let mut piece = vec![0; length];
            object.read_exact(&mut piece).await?;
            let place = (status.received, size);
            status = self.deployer.append(name.clone(), file.clone(), place, piece.into()).await?;
        }
        Ok(())
    }
}
