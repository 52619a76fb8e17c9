//! Following the rollout of a version until it has ended.

use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::Context;
use atoll_host::internal::admin::{AdminClient, Promoted, RolloutState, RolloutStatus};
use atoll_host::internal::escape;

use super::out;

/// The exit code when a rollout was aborted.
const ABORTED: u8 = 4;

/// How often the host is asked.
const INTERVAL: Duration = Duration::from_secs(1);

/// Prints what came of a promotion; if a rollout has begun, when it has ended.
pub(super) fn finish(host: &mut AdminClient, app: &str, promoted: &Promoted) -> anyhow::Result<ExitCode> {
    let done = match promoted.generation {
        Some(number) => format!("{app}#{number} is serving\n"),
        None if promoted.rollout.is_some() => String::new(),
        None => format!("{app} stands by on this host, and has the version\n"),
    };
    out::print(done)?;
    let Some(rollout) = &promoted.rollout else { return Ok(ExitCode::SUCCESS) };
    follow(host, app, rollout.clone())
}

/// Prints how far a rollout has come, until it has ended.
pub(super) fn follow(
    host: &mut AdminClient,
    app: &str,
    mut rollout: RolloutStatus,
) -> anyhow::Result<ExitCode> {
    let (mut step, started_ms) = (0, rollout.started_ms);
    loop {
        match rollout.state {
            RolloutState::Promoted => {
                out::print(format!("{app}: the version {} is the current one\n", rollout.version))?;
                return Ok(ExitCode::SUCCESS);
            }
            RolloutState::Aborted => {
                let reason = rollout.reason.unwrap_or_default();
                eprintln!(
                    "atoll: {app}: the version {} is aborted: {}",
                    rollout.version,
                    escape::line(&reason)
                );
                return Ok(ABORTED.into());
            }
            RolloutState::Running if step != rollout.step => {
                step = rollout.step;
                out::print(format!("{app}: {}\n", line(&rollout)))?;
            }
            RolloutState::Running => {}
        }
        thread::sleep(INTERVAL);
        let found = host.traffic(app)?.rollout.filter(|found| found.started_ms == started_ms);
        rollout = found.with_context(|| format!("the host has no rollout of {app} any more"))?;
    }
}

/// The step of a rollout.
pub(super) fn line(rollout: &RolloutStatus) -> String {
    let percent = rollout.steps.get(rollout.step.saturating_sub(1)).copied().unwrap_or_default();
    format!(
        "step {} of {}: {percent} % of the clients get {}",
        rollout.step,
        rollout.steps.len(),
        rollout.version
    )
}

/// How far a rollout has come, and why.
pub(super) fn summary(rollout: &RolloutStatus) -> String {
    let state = match rollout.state {
        RolloutState::Running => line(rollout),
        RolloutState::Promoted => format!("{} is the current version", rollout.version),
        RolloutState::Aborted => format!("{} is aborted", rollout.version),
    };
    let reason = rollout.reason.as_ref().map(|reason| format!(": {reason}"));
    state + &reason.unwrap_or_default()
}
