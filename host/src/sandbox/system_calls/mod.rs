//! System calls, by seccomp.
//!
//! Filters add up: of what they return for a call, the strictest applies, and of several errors that of the filter that
//! was installed last.

mod allowed;
mod arguments;
mod denied;
mod foreign;

use std::env::consts::ARCH;
use std::sync::{Mutex, PoisonError};

use seccompiler::{BackendError, BpfProgram, SeccompAction, SeccompFilter, TargetArch, apply_filter};

use super::error::SandboxError;
use super::in_force::{InForce, Layer};
use super::policy::Policy;
use super::preset::Preset;

/// The filters that were made last, with what of a policy they depend on.
static PREPARED: Mutex<Option<(Policy, Vec<BpfProgram>)>> = Mutex::new(None);

/// Makes the filters of a policy ahead of [`restrict`].
pub(super) fn prepare(policy: &Policy) {
    let key = key(policy);
    // An error is reported when they are needed.
    if let Ok(filters) = filters(&key) {
        *PREPARED.lock().unwrap_or_else(PoisonError::into_inner) = Some((key, filters));
    }
}

/// What the filters of a policy depend on: the rest of it as in the default.
fn key(policy: &Policy) -> Policy {
    Policy {
        files: Vec::new(),
        require: Default::default(),
        namespaces: Vec::new(),
        descriptors: Vec::new(),
        folder: None,
        environment: Default::default(),
        ..policy.clone()
    }
}

/// Installs the filters of a policy.
pub(super) fn restrict(policy: &Policy, in_force: &mut InForce) -> Result<(), SandboxError> {
    let prepared = PREPARED.lock().unwrap_or_else(PoisonError::into_inner).take();
    let filters = match prepared.filter(|(prepared, _)| *prepared == key(policy)) {
        Some((_, filters)) => Ok(filters),
        None => filters(policy),
    };
    let applied = filters
        .map_err(seccompiler::Error::Backend)
        .and_then(|filters| filters.iter().try_for_each(|filter| apply_filter(filter)));
    match applied {
        Ok(()) => in_force.add(Layer::SystemCalls),
        Err(error) => in_force.lacks(
            policy.require,
            Layer::SystemCalls,
            format!("the kernel does not accept the filter ({error}); it needs CONFIG_SECCOMP_FILTER"),
        )?,
    }
    Ok(())
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
                assert!(programs.iter().all(|program| (4..LONGEST).contains(&program.len())), "{policy:?}");
            }
        }
    }
}
