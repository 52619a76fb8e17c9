//! The setting `sandbox` of an app.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;

use crate::config::byte_size;
use crate::config::ranges::MAX;
use crate::sandbox::{
    ANY_PORT, Account, Accounts, FILE_RULE, FileRule, Limits, Namespace, Policy, Ports, Preset, Require,
    SandboxError,
};

/// The setting `sandbox` of an app: what its process may do.
///
/// ```
/// use atoll_host::config::{Preset, SandboxSettings};
///
/// let settings = SandboxSettings { files: vec!["rw:/var/lib/shop".parse()?], ..SandboxSettings::default() };
/// assert_eq!(settings.preset, Preset::Standard);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(
    default,
    deny_unknown_fields,
    description = "What the process of an app may do. The fields other than `preset` allow more, or limit resources."
)]
pub struct SandboxSettings {
    /// What the process may do to begin with: `standard` is for ordinary programs, which read the app's own folder (that of
    /// the setting `dir`, or the one that `path` names) and what the system has for all; `strict` has no files, and only the
    /// most common system calls. Default "standard".
    pub preset: Preset,

    /// Whether the app may start if this machine cannot enforce all of it: `full` refuses, `available` enforces the
    /// rest and reports what is missing. Default "full".
    pub require: Require,

    /// Files and folders that the process may use: `r:` (read) or `rw:` (read and write) and an absolute path.
    /// Default [].
    #[schemars(schema_with = "files_schema")]
    pub files: Vec<FileRule>,

    /// TCP ports that the process may connect to, or `"any"`. Default [].
    #[schemars(schema_with = "ports_schema")]
    pub connect: Ports,

    /// TCP ports that the process may listen on, or `"any"`. Default [].
    #[schemars(schema_with = "ports_schema")]
    pub bind: Ports,

    /// Whether the process may use UDP, with all addresses and ports. Default false.
    pub udp: bool,

    /// Whether the process may use UNIX sockets in the file system, of all programs that let its user connect.
    /// Default false.
    pub unix_sockets: bool,

    /// Whether the process may execute other programs, from folders that it can read but not write to. They are in the
    /// same sandbox. Default false.
    pub exec: bool,

    /// The user that the process runs as: a name, a number in a string, or a range of numbers such as `"100000-165535"`, of
    /// which each app has another one; a range needs `data`. Needs a host that runs as root. `null` means the user of the
    /// host. Default null.
    #[schemars(schema_with = "user_schema")]
    pub user: Option<String>,

    /// The largest private memory of the process that can be written to, in bytes or as a string with a unit: heap, stacks
    /// and data. By a control group, where the host has one, also all other memory of the process and of what it starts.
    /// `null` means no limit. Default null.
    #[schemars(schema_with = "byte_size::nullable_schema")]
    pub memory: Option<usize>,

    /// The time of all CPUs after which the process is killed, in seconds. `null` means no limit. Default null.
    #[schemars(range(min = 1, max = MAX))]
    pub cpu_seconds: Option<u64>,

    /// The largest share of one CPU's time, in percent: 50 is half of one, 200 are two. Needs a control group. `null` means no
    /// limit. Default null.
    #[schemars(range(min = 1, max = MAX))]
    pub cpu_percent: Option<u64>,

    /// The maximum number of threads of the process and of what it starts, by a control group; without one, of all processes
    /// of `user`, which is required then. `null` means no limit. Default null.
    #[schemars(range(min = 1, max = MAX))]
    pub threads: Option<u64>,

    /// The maximum number of open file descriptors. `null` means the limit of the host. Default null.
    #[schemars(range(min = MIN_OPEN_FILES, max = MAX))]
    pub open_files: Option<u64>,

    /// Kernel namespaces that the process has for itself: `ipc`, `network`. Default [].
    pub namespaces: Vec<Namespace>,
}

/// What a process needs for itself: its standard streams, a library, event queues.
pub(super) const MIN_OPEN_FILES: u64 = 16;

/// What a user's name may be, or a number.
pub(super) fn is_user_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphanumeric() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
        && text.len() <= MAX_USER_NAME
}

const MAX_USER_NAME: usize = 32;
const USER_NAME: &str = "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}$";

fn files_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "array", "items": { "type": "string", "pattern": FILE_RULE } })
}

fn ports_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": ["array", "string"],
        "items": { "type": "integer", "minimum": 0, "maximum": u16::MAX },
        "pattern": format!("^{}$", ANY_PORT),
    })
}

fn user_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["string", "null"], "pattern": USER_NAME })
}

impl SandboxSettings {
    /// The settings of a preset.
    pub fn of(preset: Preset) -> Self {
        Self { preset, ..Self::default() }
    }

    /// Which user a process of the app runs as; `None`: that of the host.
    ///
    /// # Errors
    /// The user is unknown, or is root.
    pub(crate) fn accounts(&self) -> Result<Option<Accounts>, SandboxError> {
        self.user.as_deref().map(Accounts::find).transpose()
    }

    /// The policy for a process of the app, as its host's user. The caller adds the user, the descriptors, the environment and
    /// the working directory.
    pub(crate) fn policy(&self) -> Policy {
        Policy {
            preset: self.preset,
            require: self.require,
            files: self.files.clone(),
            connect: self.connect.clone(),
            bind: self.bind.clone(),
            udp: self.udp,
            unix_sockets: self.unix_sockets,
            exec: self.exec,
            account: None,
            limits: Limits {
                memory: self.memory.map(|bytes| bytes as u64),
                cpu_seconds: self.cpu_seconds,
                cpu_percent: self.cpu_percent,
                threads: self.threads,
                open_files: self.open_files,
            },
            namespaces: self.namespaces.clone(),
            ..Policy::default()
        }
    }

    /// What the [policies](Self::policy) of all apps with such settings have in common.
    pub(crate) fn shape(&self) -> Policy {
        /// Stands for the one that the app gets.
        const ANY: Account = Account { uid: 1, gid: 1 };
        Policy { account: self.user.as_ref().map(|_| ANY), ..self.policy() }.shape()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_has_all_settings() {
        let settings = SandboxSettings {
            preset: Preset::Strict,
            require: Require::Available,
            files: vec!["r:/srv".parse().unwrap()],
            connect: Ports::Any,
            bind: Ports::Listed(vec![80]),
            udp: true,
            unix_sockets: true,
            exec: true,
            user: Some("12345".into()),
            memory: Some(1 << 20),
            cpu_seconds: Some(1),
            cpu_percent: Some(50),
            threads: Some(2),
            open_files: Some(64),
            namespaces: vec![Namespace::Ipc],
        };
        let policy = settings.policy();
        let account = Account { uid: 12345, gid: 12345 };
        assert_eq!(settings.accounts().unwrap(), Some(Accounts::One(account)));
        let limits = Limits {
            memory: Some(1 << 20),
            cpu_seconds: Some(1),
            cpu_percent: Some(50),
            threads: Some(2),
            open_files: Some(64),
        };
        let expected = Policy {
            preset: Preset::Strict,
            require: Require::Available,
            files: settings.files.clone(),
            connect: Ports::Any,
            bind: Ports::Listed(vec![80]),
            udp: true,
            unix_sockets: true,
            exec: true,
            account: None,
            limits,
            namespaces: vec![Namespace::Ipc],
            ..Policy::default()
        };
        assert_eq!(policy, expected);
        assert_eq!(SandboxSettings::default().policy(), Policy::default());
        let root = SandboxSettings { user: Some("root".into()), ..SandboxSettings::default() };
        assert!(matches!(root.accounts(), Err(SandboxError::RootUser { .. })));
    }

    #[test]
    fn user_names() {
        for good in ["www-data", "_apt", "1000", "a.b", &"a".repeat(32)] {
            assert!(is_user_name(good), "{good}");
        }
        for bad in ["", "-a", ".a", "a b", "a:b", "é", &"a".repeat(33)] {
            assert!(!is_user_name(bad), "{bad}");
        }
    }
}
