//! Files, TCP ports, signals and abstract sockets, by Landlock.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::{Mutex, PoisonError};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, LandlockStatus, NetPort, PathBeneath, PathFd, Ruleset,
    RulesetAttr, RulesetCreated, RulesetCreatedAttr, Scope, make_bitflags,
};

use super::error::SandboxError;
use super::file_rule::{FileAccess, FileRule};
use super::in_force::{InForce, Layer};
use super::policy::Policy;
use super::ports::Ports;
use super::preset::Preset;

/// The version of Landlock whose rights are used. An older kernel enforces what it knows.
const RIGHTS: ABI = ABI::V7;

/// What each version brings, and the first Linux that has it.
const TRUNCATION: (ABI, &str) = (ABI::V3, "Linux 6.2");
const TCP: (ABI, &str) = (ABI::V4, "Linux 6.7");
const SCOPES: (ABI, &str) = (ABI::V6, "Linux 6.12");

/// The rules for the files of a preset that were made ahead.
static PREPARED: Mutex<Option<Prepared>> = Mutex::new(None);

struct Prepared {
    /// Of which policies they are.
    shape: Policy,
    /// The files as they were: others have taken their paths since then, if these are not the same any more.
    files: Vec<Option<FileId>>,
    ruleset: RulesetCreated,
}

/// The device and the number of a file.
type FileId = (u64, u64);

/// The files that have the paths of a preset now.
fn files(preset: Preset) -> Vec<Option<FileId>> {
    let id = |path: &std::path::Path| path.metadata().ok().map(|file| (file.dev(), file.ino()));
    preset.paths().map(|(_, path)| id(path)).collect()
}

/// Makes the rules for the preset of a policy ahead of [`Rules::open`].
pub(super) fn prepare(policy: &Policy) {
    let files = files(policy.preset);
    // An error is reported when they are needed.
    if let Ok(ruleset) = of_preset(policy) {
        let prepared = Prepared { shape: policy.shape(), files, ruleset };
        *PREPARED.lock().unwrap_or_else(PoisonError::into_inner) = Some(prepared);
    }
}

/// The rules that were made ahead, if they are those of this policy's preset.
fn prepared(policy: &Policy) -> Option<RulesetCreated> {
    let prepared = PREPARED.lock().unwrap_or_else(PoisonError::into_inner).take()?;
    let is_same = prepared.shape == policy.shape() && prepared.files == files(policy.preset);
    is_same.then_some(prepared.ruleset)
}

/// Rules for the files of a policy's preset.
fn of_preset(policy: &Policy) -> Result<RulesetCreated, SandboxError> {
    let failed = |error: landlock::RulesetError| ruleset_error("landlock_create_ruleset", error);
    let mut ruleset = Ruleset::default().handle_access(AccessFs::from_all(RIGHTS)).map_err(failed)?;
    for (ports, access) in tcp(policy) {
        if *ports != Ports::Any {
            ruleset = ruleset.handle_access(access).map_err(failed)?;
        }
    }
    let mut ruleset = ruleset.scope(Scope::from_all(RIGHTS)).map_err(failed)?.create().map_err(failed)?;
    for rule in policy.preset.files() {
        ruleset = add(ruleset, &rule, policy.exec)?;
    }
    Ok(ruleset)
}

/// Rules whose paths are open.
pub(super) struct Rules {
    ruleset: RulesetCreated,
}

impl Rules {
    /// Opens the paths of a policy.
    ///
    /// # Errors
    /// One of `files` cannot be opened.
    pub(super) fn open(policy: &Policy) -> Result<Self, SandboxError> {
        let mut ruleset = prepared(policy).map_or_else(|| of_preset(policy), Ok)?;
        for rule in &policy.files {
            ruleset = add(ruleset, rule, policy.exec)?;
        }
        for (ports, access) in tcp(policy) {
            let Ports::Listed(ports) = ports else { continue };
            for &port in ports {
                let added = ruleset.add_rule(NetPort::new(port, access));
                ruleset = added.map_err(|error| ruleset_error("landlock_add_rule", error))?;
            }
        }
        Ok(Self { ruleset })
    }

    /// Restricts this process to the rules, and adds to `in_force` what that means on this kernel.
    pub(super) fn restrict(self, policy: &Policy, in_force: &mut InForce) -> Result<(), SandboxError> {
        let status = self.ruleset.restrict_self();
        let status = status.map_err(|error| ruleset_error("landlock_restrict_self", error))?;
        let abi = match status.landlock {
            LandlockStatus::Available { effective_abi, .. } => effective_abi,
            LandlockStatus::NotEnabled | LandlockStatus::NotImplemented => ABI::Unsupported,
        };
        let require = policy.require;
        let lacks = |what: &str, (_, since): (ABI, &str)| match abi {
            ABI::Unsupported => {
                format!(
                    "the kernel has no Landlock, it is not enabled, or a filter of system calls forbids it; use {since}, add `landlock` to `lsm=` of its command line, and allow the host the system calls that `docs/deploy/atoll.service` names"
                )
            }
            _ => format!("{what} need {since}"),
        };
        if abi >= TRUNCATION.0 {
            in_force.add(Layer::Files);
        } else {
            in_force.lacks(
                require,
                Layer::Files,
                lacks("rules for all ways to write to a file", TRUNCATION),
            )?;
        }
        // Without allowed ports, there are no sockets for them.
        let has_ports = policy.allows_tcp() && tcp(policy).iter().any(|(ports, _)| **ports != Ports::Any);
        if has_ports {
            if abi >= TCP.0 {
                in_force.add(Layer::Tcp);
            } else {
                let reason = lacks("rules for ports", TCP);
                in_force.lacks(
                    require,
                    Layer::Tcp,
                    format!("{reason}; or write \"any\" for `connect` and `bind`"),
                )?;
            }
        }
        // The kernel lets processes of other users send no signals to each other.
        if abi >= SCOPES.0 || policy.account.is_some() {
            in_force.add(Layer::Signals);
        } else {
            let reason = lacks("rules for signals", SCOPES);
            in_force.lacks(require, Layer::Signals, format!("{reason}; or add `user`"))?;
        }
        if policy.unix_sockets {
            if abi >= SCOPES.0 {
                in_force.add(Layer::AbstractSockets);
            } else {
                let reason = lacks("rules for abstract sockets", SCOPES);
                in_force.lacks(
                    require,
                    Layer::AbstractSockets,
                    format!("{reason}; or remove `unix_sockets`"),
                )?;
            }
        }
        Ok(())
    }
}

/// The rights of TCP, each with its ports.
fn tcp(policy: &Policy) -> [(&Ports, AccessNet); 2] {
    [(&policy.connect, AccessNet::ConnectTcp), (&policy.bind, AccessNet::BindTcp)]
}

fn add(ruleset: RulesetCreated, rule: &FileRule, exec: bool) -> Result<RulesetCreated, SandboxError> {
    let failed = |reason: io::Error| SandboxError::Path { path: rule.path().to_owned(), reason };
    let is_folder = rule.path().metadata().map_err(failed)?.is_dir();
    let path = PathFd::new(rule.path()).map_err(|error| failed(io::Error::other(error)))?;
    let mut rights = rights(rule.access(), exec);
    if !is_folder {
        rights &= AccessFs::from_file(RIGHTS);
    }
    ruleset
        .add_rule(PathBeneath::new(path, rights))
        .map_err(|error| ruleset_error("landlock_add_rule", error))
}

/// What a rule allows. Nothing is both written and executed, and devices have no ioctl.
fn rights(access: FileAccess, exec: bool) -> BitFlags<AccessFs> {
    let mut rights = make_bitflags!(AccessFs::{ReadFile | ReadDir});
    match access {
        FileAccess::Read if exec => rights |= AccessFs::Execute,
        FileAccess::Read => {}
        FileAccess::ReadWrite => {
            rights |= AccessFs::from_write(RIGHTS);
            rights &= !make_bitflags!(AccessFs::{MakeChar | MakeBlock | IoctlDev});
        }
    }
    rights
}

fn ruleset_error(action: &'static str, error: landlock::RulesetError) -> SandboxError {
    SandboxError::System { layer: Layer::Files, action, reason: io::Error::other(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_ahead_is_for_its_shape_and_for_files_that_are_the_same() {
        let policy = Policy { connect: Ports::Listed(vec![80]), ..Policy::default() };
        let after = |change: fn(&mut Prepared)| {
            prepare(&policy);
            PREPARED.lock().unwrap().iter_mut().for_each(change);
        };
        after(|_| {});
        let with_files = Policy { files: vec!["r:/srv".parse().unwrap()], ..policy.clone() };
        assert!(prepared(&with_files).is_some());
        assert!(prepared(&with_files).is_none(), "it is used once");
        after(|_| {});
        assert!(prepared(&Policy { exec: true, ..policy.clone() }).is_none());
        // Another file has the path, or a file has come or gone.
        after(|prepared| prepared.files[0] = Some((0, 0)));
        assert!(prepared(&policy).is_none());
        after(|prepared| prepared.files[0] = None);
        assert!(prepared(&policy).is_none());
    }

    #[test]
    fn nothing_is_both_written_and_executed() {
        for exec in [false, true] {
            assert_eq!(rights(FileAccess::Read, exec).contains(AccessFs::Execute), exec);
            let write = rights(FileAccess::ReadWrite, exec);
            assert!(write.contains(AccessFs::WriteFile) && !write.contains(AccessFs::Execute));
            assert!(!write.intersects(AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::IoctlDev));
            assert!(!rights(FileAccess::Read, exec).contains(AccessFs::WriteFile));
        }
    }
}
