//! The environment that a generation is started with.

use super::error::StartupError;
use super::plan::Plan;
use crate::app::environment::{self, Environment};

/// Reads the environment; outside of this thread, if there are files to read.
pub(super) async fn read_environment(plan: &Plan) -> Result<Environment, StartupError> {
    let settings = plan.app.settings();
    let environment = if environment::files(&settings).is_empty() {
        Environment::read(&settings)?
    } else {
        let read = plan.file_lookups.run(move || Environment::read(&settings)).await;
        read.map_err(StartupError::EnvironmentThread)??
    };
    for path in &environment.public_secrets {
        if plan.app.note_public_secret(path) {
            let (app, path) = (plan.app.name(), path.display());
            log::warn!("{app}: every user can read the secret {path}: run `chmod o-r {path}`");
        }
    }
    Ok(environment)
}
