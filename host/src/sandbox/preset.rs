//! What a policy starts from.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::file_rule::{FileAccess, FileRule};

/// What a policy starts from. The other fields allow more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// What ordinary programs need: reading the app's own folder, the system's libraries, certificates, time zones and name lookup files, and
    /// all system calls except for dangerous ones.
    #[default]
    Standard,
    /// No file at all, and only the system calls that a program needs for computing, for threads, and for the files and
    /// sockets that it is given.
    Strict,
}

/// What the standard preset can read, as far as it exists.
const STANDARD_READ: &[&str] = &[
    "/usr",
    "/lib",
    "/lib32",
    "/lib64",
    "/bin",
    "/sbin",
    "/etc/ca-certificates",
    "/etc/gai.conf",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/pki",
    "/etc/protocols",
    "/etc/resolv.conf",
    "/etc/services",
    "/etc/ssl",
    "/etc/timezone",
    "/dev/random",
    "/dev/urandom",
    "/dev/zero",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/self",
    "/proc/stat",
    "/sys/devices/system/cpu",
    "/sys/fs/cgroup",
    "/sys/kernel/mm/transparent_hugepage",
];

/// What the standard preset can also write.
const STANDARD_WRITE: &[&str] = &["/dev/null"];

impl Preset {
    /// The files that it allows, as far as they exist: other systems have others.
    pub(super) fn files(self) -> impl Iterator<Item = FileRule> {
        self.paths()
            .filter(|(_, path)| path.exists())
            .filter_map(|(access, path)| FileRule::new(access, path).ok())
    }

    /// The paths that it allows, whether they exist or not.
    pub(super) fn paths(self) -> impl Iterator<Item = (FileAccess, &'static Path)> {
        let (read, write): (&[&str], &[&str]) = match self {
            Self::Standard => (STANDARD_READ, STANDARD_WRITE),
            Self::Strict => (&[], &[]),
        };
        let read = read.iter().map(|path| (FileAccess::Read, path));
        let write = write.iter().map(|path| (FileAccess::ReadWrite, path));
        read.chain(write).map(|(access, path)| (access, Path::new(path)))
    }

    /// The name in `apps.json`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Strict => "strict",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_are_of_absolute_paths() {
        for path in STANDARD_READ.iter().chain(STANDARD_WRITE) {
            FileRule::new(FileAccess::Read, Path::new(path)).unwrap();
        }
        let standard: Vec<_> = Preset::Standard.files().map(|rule| rule.to_string()).collect();
        assert!(standard.contains(&"r:/usr".to_owned()) && standard.contains(&"rw:/dev/null".to_owned()));
        assert_eq!(Preset::Strict.files().count(), 0);
    }

    #[test]
    fn the_name_is_the_one_in_json() {
        for preset in [Preset::Standard, Preset::Strict] {
            assert_eq!(serde_json::to_value(preset).unwrap(), preset.name());
        }
    }
}
