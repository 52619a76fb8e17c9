//! The control group of an app process.

use super::error::ProcessError;
use crate::generation::handle::Identity;
use crate::process::control_groups::{ControlGroup, ControlGroupError, Controller, Delegated};
use crate::sandbox::{InForce, Layer, Limits, Policy, SandboxError};

/// Moves a process into a control group with the limits of its policy, where the policy has limits for one and this host may
/// make one; returns the group, and what is in force by it. A limit that the group replaces is removed from the policy.
///
/// # Errors
/// The group cannot be made, or `cpu_percent` needs one that there cannot be and the policy requires all of it.
pub(super) fn limit(
    policy: &mut Policy,
    identity: &Identity,
    process: Option<u32>,
) -> Result<(Option<ControlGroup>, InForce), ProcessError> {
    let mut in_force = InForce::default();
    let Limits { memory, threads, cpu_percent, .. } = policy.limits;
    if memory.or(threads).or(cpu_percent).is_none() {
        return Ok((None, in_force));
    }
    let lacks = |in_force: &mut InForce, error: &ControlGroupError| match cpu_percent {
        Some(_) => in_force
            .lacks(policy.require, Layer::ControlGroup, format!("`cpu_percent` needs one: {error}"))
            .map_err(|error: SandboxError| ProcessError::Sandbox(error.to_string())),
        None => Ok(()),
    };
    let delegated = match Delegated::own() {
        Ok(delegated) => delegated,
        Err(error) => {
            lacks(&mut in_force, error)?;
            return Ok((None, in_force));
        }
    };
    if let Err(error) = delegated.require(Controller::Cpu) {
        lacks(&mut in_force, &error)?;
    }
    let name = format!("{}-{}", identity.app, identity.number);
    let failed = |error: ControlGroupError| ProcessError::Sandbox(error.to_string());
    let group = ControlGroup::new(delegated, &name, &policy.limits).map_err(failed)?;
    if let Some(group) = &group {
        // One that has ended is found out below.
        process.map_or(Ok(()), |process| group.add(process)).map_err(failed)?;
        in_force.add(Layer::ControlGroup);
        if group.limits().threads.is_some() {
            // The process's own limit counts what others of its user have, too.
            policy.limits.threads = None;
        }
    }
    Ok((group, in_force))
}
