//! What a process may do.

use std::collections::BTreeMap;
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};

use super::account::Account;
use super::file_rule::{FileAccess, FileRule};
use super::in_force::Require;
use super::namespaces::Namespace;
use super::ports::Ports;
use super::preset::Preset;
use super::process::Limits;

/// What a process may do. The default is the standard preset, with nothing else allowed.
///
/// The parent makes one with `SandboxSettings::policy`, calls [`prepare`](Self::prepare)
/// for the command that starts the process, and sends the policy to the process as JSON. The process calls
/// `enforce`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// What it starts from.
    pub preset: Preset,
    /// What happens if this machine cannot enforce a part of it.
    pub require: Require,
    /// Files and folders, besides those of the preset.
    pub files: Vec<FileRule>,
    /// TCP ports to connect to.
    pub connect: Ports,
    /// TCP ports to listen on.
    pub bind: Ports,
    /// UDP, with all addresses and ports.
    pub udp: bool,
    /// UNIX sockets in the file system.
    pub unix_sockets: bool,
    /// Executing other programs.
    pub exec: bool,
    /// The user to become. `None`: the one of the parent.
    pub account: Option<Account>,
    /// Limits of resources.
    pub limits: Limits,
    /// Separate namespaces.
    pub namespaces: Vec<Namespace>,
    /// The descriptors that stay open, besides the standard ones.
    pub descriptors: Vec<RawFd>,
    /// The working directory. `None`: the one of the parent.
    pub folder: Option<PathBuf>,
    /// All variables of the environment.
    pub environment: BTreeMap<String, String>,
}

impl Policy {
    /// Does what has to be done before the process starts: gives it only the environment of this policy. What a process
    /// removes from its environment itself stays in its memory.
    pub fn prepare(&self, command: &mut Command) {
        command.env_clear().envs(&self.environment);
    }

    /// The policy without what is about one app: of all apps that may do the same kinds of things, it is the same one. What is made
    /// ahead of it suits them all.
    pub(crate) fn shape(&self) -> Self {
        /// Stands for any.
        const ANY: Account = Account { uid: 1, gid: 1 };
        let ports = |ports: &Ports| match ports {
            Ports::Listed(ports) if !ports.is_empty() => Ports::Listed(vec![1]),
            none_or_any => none_or_any.clone(),
        };
        Self {
            preset: self.preset,
            connect: ports(&self.connect),
            bind: ports(&self.bind),
            udp: self.udp,
            unix_sockets: self.unix_sockets,
            exec: self.exec,
            account: self.account.map(|_| ANY),
            limits: Limits { memory: self.limits.memory.map(|_| 0), ..Limits::default() },
            namespaces: self.namespaces.clone(),
            ..Self::default()
        }
    }

    /// Whether sockets of TCP are allowed.
    pub(crate) fn allows_tcp(&self) -> bool {
        !self.connect.is_empty() || !self.bind.is_empty()
    }

    /// Whether a path may be used in this way, as far as the policy decides that.
    pub(crate) fn allows_file(&self, path: &Path, access: FileAccess) -> bool {
        let path = real(path);
        self.preset.files().chain(self.files.iter().cloned()).any(|rule| {
            let is_allowed = access == FileAccess::Read || rule.access() == FileAccess::ReadWrite;
            is_allowed && path.starts_with(real(rule.path()))
        })
    }
}

/// A path without symbolic links, of which the last parts need not exist.
fn real(path: &Path) -> PathBuf {
    match (path.canonicalize(), path.parent(), path.file_name()) {
        (Ok(path), ..) => path,
        (Err(_), Some(folder), Some(name)) => real(folder).join(name),
        (Err(_), ..) => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_json() {
        let policy = Policy {
            preset: Preset::Strict,
            require: Require::Available,
            files: vec!["r:/srv".parse().unwrap(), "rw:/var/lib/a".parse().unwrap()],
            connect: Ports::Listed(vec![5432]),
            bind: Ports::Any,
            udp: true,
            unix_sockets: true,
            exec: true,
            account: Some(Account { uid: 1, gid: 2 }),
            limits: Limits { memory: Some(1 << 30), ..Limits::default() },
            namespaces: vec![Namespace::Ipc, Namespace::Network],
            descriptors: vec![3, 9],
            folder: Some("/srv".into()),
            environment: BTreeMap::from([("A".into(), "b".into())]),
        };
        for policy in [policy, Policy::default()] {
            let json = serde_json::to_string(&policy).unwrap();
            assert_eq!(serde_json::from_str::<Policy>(&json).unwrap(), policy);
        }
    }

    #[test]
    fn a_shape_has_nothing_of_the_app() {
        let of = |app: u16| Policy {
            files: vec![format!("rw:/var/lib/{app}").parse().unwrap()],
            connect: Ports::Listed(vec![app, app + 1]),
            unix_sockets: true,
            account: Some(Account { uid: app.into(), gid: app.into() }),
            limits: Limits { memory: Some(app.into()), threads: Some(app.into()), ..Limits::default() },
            folder: Some(format!("/srv/{app}").into()),
            descriptors: vec![app.into()],
            environment: BTreeMap::from([("APP".into(), app.to_string())]),
            ..Policy::default()
        };
        let shape = of(7).shape();
        assert_eq!(shape, of(8).shape());
        assert_eq!(shape, shape.shape());
        assert_ne!(shape, Policy { unix_sockets: false, ..of(7) }.shape());
        assert_ne!(shape, Policy { connect: Ports::Any, ..of(7) }.shape());
        assert_ne!(shape, Policy { connect: Ports::default(), ..of(7) }.shape());
        assert_ne!(shape, Policy { account: None, ..of(7) }.shape());
        assert_ne!(shape, Policy { namespaces: vec![Namespace::Ipc], ..of(7) }.shape());
    }

    #[test]
    fn the_environment_is_the_policys_only() {
        let environment = BTreeMap::from([("ATOLL_GIVEN".into(), "1".into())]);
        let mut command = Command::new("/usr/bin/env");
        command.env("ATOLL_OTHER", "2");
        Policy { environment, ..Policy::default() }.prepare(&mut command);
        let output = command.output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "ATOLL_GIVEN=1\n");
    }
}
