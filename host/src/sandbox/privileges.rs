//! Privileges that a process gives up.

use std::io;

use rustix::io::Errno;
use rustix::process::{
    DumpableBehavior, Gid, Uid, geteuid, parent_process_death_signal, set_dumpable_behavior,
    set_parent_process_death_signal,
};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs, set_thread_groups,
    set_thread_res_gid, set_thread_res_uid,
};

use super::account::Account;
use super::error::SandboxError;
use super::in_force::{InForce, Layer, Require};

/// Becomes another user, with no other groups than its own.
pub(super) fn become_user(
    account: Account,
    require: Require,
    in_force: &mut InForce,
) -> Result<(), SandboxError> {
    if !geteuid().is_root() {
        return in_force.lacks(
            require,
            Layer::User,
            "only a host that runs as root can start an app as another user; run it as root, or remove `user`",
        );
    }
    let (uid, gid) = (Uid::from_raw(account.uid), Gid::from_raw(account.gid));
    set_thread_groups(&[]).map_err(SandboxError::system(Layer::User, "setgroups"))?;
    set_thread_res_gid(gid, gid, gid).map_err(SandboxError::system(Layer::User, "setresgid"))?;
    set_thread_res_uid(uid, uid, uid).map_err(SandboxError::system(Layer::User, "setresuid"))?;
    in_force.add(Layer::User);
    Ok(())
}

/// Gives up all capabilities for good, and with them what a process that stays root could do to others. Other processes of
/// the user cannot trace this one.
pub(super) fn drop_all(death_signal: Option<rustix::process::Signal>) -> Result<(), SandboxError> {
    let layer = Layer::Privileges;
    set_no_new_privs(true).map_err(SandboxError::system(layer, "prctl(PR_SET_NO_NEW_PRIVS)"))?;
    clear_ambient_capability_set().map_err(SandboxError::system(layer, "prctl(PR_CAP_AMBIENT_CLEAR_ALL)"))?;
    clear_bounding_set().map_err(SandboxError::system(layer, "prctl(PR_CAPBSET_DROP)"))?;
    let none = CapabilitySet::empty();
    let none = CapabilitySets { effective: none, permitted: none, inheritable: none };
    // A service manager that gives the host none may forbid it the call as well.
    if capabilities(None).map_err(SandboxError::system(layer, "capget"))? != none {
        set_capabilities(None, none).map_err(SandboxError::system(layer, "capset"))?;
    }
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(SandboxError::system(layer, "prctl(PR_SET_DUMPABLE)"))?;
    // Another user or other capabilities have cleared it.
    set_parent_process_death_signal(death_signal)
        .map_err(SandboxError::system(layer, "prctl(PR_SET_PDEATHSIG)"))
}

/// The signal that this process gets when its parent ends.
pub(super) fn death_signal() -> Result<Option<rustix::process::Signal>, SandboxError> {
    parent_process_death_signal().map_err(SandboxError::system(Layer::Privileges, "prctl(PR_GET_PDEATHSIG)"))
}

/// Empties the set of capabilities that programs could gain. Without the privilege to do that there is nothing to gain,
/// either: no new privileges are granted.
fn clear_bounding_set() -> io::Result<()> {
    for bit in 0..u64::BITS {
        match remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << bit)) {
            Ok(()) => {}
            // That was the last one of this kernel, or all of them are beyond this process.
            Err(Errno::INVAL | Errno::PERM) => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
