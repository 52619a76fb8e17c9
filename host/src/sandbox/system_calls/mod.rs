//! System calls, by seccomp.
//!
//! Filters add up: of what they return for a call, the strictest applies, and of several errors that of the filter that
//! was installed last.

mod allowed;
mod arguments;
mod denied;
mod foreign;

use std::env::consts::ARCH;
use std::io;
use std::sync::{Mutex, PoisonError};

use seccompiler::{BackendError, BpfProgram, SeccompAction, SeccompFilter, TargetArch, apply_filter};

use super::error::SandboxError;
use super::in_force::{InForce, Layer};
use super::policy::Policy;
use super::preset::Preset;

/// What was done ahead of [`restrict`].
static AHEAD: Mutex<Option<Ahead>> = Mutex::new(None);

enum Ahead {
    /// The filters of policies of this shape were made.
    Made(Policy, Vec<BpfProgram>),
    /// They are in force.
    InForce(Policy),
}

/// Makes the filters of a policy ahead of [`restrict`], and installs them, if nothing that is still to be enforced needs what they
/// deny. A process that has them can only be restricted to policies of the same shape.
pub(super) fn prepare(policy: &Policy) {
    let shape = policy.shape();
    // An error is reported when they are needed.
    let Ok(filters) = filters(&shape) else { return };
    // The strict ones allow no calls of Landlock, and none makes namespaces.
    let can_be_first = shape.preset == Preset::Standard && shape.namespaces.is_empty();
    let ahead = if can_be_first && install(&filters).is_ok() {
        Ahead::InForce(shape)
    } else {
        Ahead::Made(shape, filters)
    };
    *AHEAD.lock().unwrap_or_else(PoisonError::into_inner) = Some(ahead);
}

/// Installs the filters of a policy, unless they are in force.
pub(super) fn restrict(policy: &Policy, in_force: &mut InForce) -> Result<(), SandboxError> {
    let shape = policy.shape();
    let filters = match AHEAD.lock().unwrap_or_else(PoisonError::into_inner).take() {
        Some(Ahead::InForce(prepared)) if prepared == shape => {
            in_force.add(Layer::SystemCalls);
            return Ok(());
        }
        Some(Ahead::InForce(_)) => {
            let reason = io::Error::other("the process was prepared for policies of another kind");
            return Err(SandboxError::System { layer: Layer::SystemCalls, action: "seccomp", reason });
        }
        Some(Ahead::Made(prepared, filters)) if prepared == shape => Ok(filters),
        Some(Ahead::Made(..)) | None => filters(policy),
    };
    match filters.map_err(seccompiler::Error::Backend).and_then(|filters| install(&filters)) {
        Ok(()) => in_force.add(Layer::SystemCalls),
        Err(error) => in_force.lacks(
            policy.require,
            Layer::SystemCalls,
            format!("the kernel does not accept the filter ({error}); it needs CONFIG_SECCOMP_FILTER"),
        )?,
    }
    Ok(())
}

fn install(filters: &[BpfProgram]) -> Result<(), seccompiler::Error> {
    filters.iter().try_for_each(|filter| apply_filter(filter))
}

/// The programs, in the order in which they are installed.
fn filters(policy: &Policy) -> Result<Vec<BpfProgram>, BackendError> {
    let arch: TargetArch = ARCH.try_into()?;
    let program = |calls, mismatch, matched| -> Result<BpfProgram, BackendError> {
        SeccompFilter::new(calls, mismatch, matched, arch)?.try_into()
    };
    let error = |number: i32| SeccompAction::Errno(number.unsigned_abs());
    let mut programs = Vec::from_iter(foreign::program());
    if policy.preset == Preset::Strict {
        // As on a kernel that does not have them, so that programs use others.
        programs.push(program(allowed::calls(policy)?, error(libc::ENOSYS), SeccompAction::Allow)?);
    }
    programs.push(program(denied::as_unknown(), SeccompAction::Allow, error(libc::ENOSYS))?);
    programs.push(program(denied::calls(policy)?, SeccompAction::Allow, error(libc::EPERM))?);
    Ok(programs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::{Limits, Ports};

    #[test]
    fn all_policies_make_programs_that_a_kernel_accepts() {
        const LONGEST: usize = 4096;
        for preset in [Preset::Standard, Preset::Strict] {
            for bits in 0..64_u32 {
                let is = |bit: u32| bits & (1 << bit) != 0;
                let ports = |on| if on { Ports::Listed(vec![80]) } else { Ports::default() };
                let policy = Policy {
                    preset,
                    connect: ports(is(0)),
                    bind: ports(is(1)),
                    udp: is(2),
                    unix_sockets: is(3),
                    exec: is(4),
                    limits: Limits { memory: is(5).then_some(1 << 30), ..Limits::default() },
                    ..Policy::default()
                };
                let programs = filters(&policy).unwrap();
                assert_eq!(programs, filters(&policy.shape()).unwrap(), "they can be made ahead: {policy:?}");
                assert!(programs.iter().all(|program| (4..LONGEST).contains(&program.len())), "{policy:?}");
            }
        }
    }
}
