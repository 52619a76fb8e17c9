//! What the sandbox has denied to the app, in its log, with the setting that would allow it.

use std::collections::HashSet;
use std::sync::{Mutex, TryLockError};

use super::reports::ToHost;
use crate::abi::denials::{self, Attempt};
use crate::sandbox::{FileAccess, Policy};

/// How many different attempts are reported. A program that tries more is searching, and one that logs them is of no help.
pub(crate) const MAX_REPORTS: usize = 64;

/// Reports each kind of attempt that this policy denies, once.
pub(super) fn report(policy: Policy, to_host: ToHost) {
    let seen = Mutex::new(HashSet::new());
    denials::observe(move |attempt| {
        let Some(text) = explain(&policy, &attempt) else { return };
        let mut seen = match seen.try_lock() {
            Ok(seen) => seen,
            Err(TryLockError::Poisoned(seen)) => seen.into_inner(),
            // Another thread reports. This one may be in a signal's handler, and must not wait for it.
            Err(TryLockError::WouldBlock) => return,
        };
        if seen.len() < MAX_REPORTS && seen.insert(attempt) {
            to_host.warn(&text);
        }
    });
}

/// What was denied and what to set; `None`: the policy allows it, so that something else has denied it.
fn explain(policy: &Policy, attempt: &Attempt) -> Option<String> {
    let (what, remedy) = match attempt {
        Attempt::Read(path) if !policy.allows_file(path, FileAccess::Read) => {
            (format!("to read {}", path.display()), format!("add \"r:{}\" to its `files`", path.display()))
        }
        Attempt::Write(path) if !policy.allows_file(path, FileAccess::ReadWrite) => {
            let folder = path.parent().unwrap_or(path);
            let remedy = format!("add \"rw:{}\" to its `files`", folder.display());
            (format!("to write to {}", path.display()), remedy)
        }
        Attempt::Connect(port) if !policy.connect.contains(*port) => {
            (format!("to connect to TCP port {port}"), format!("add {port} to its `connect`"))
        }
        Attempt::Bind(port) if !policy.bind.contains(*port) => {
            (format!("to listen on TCP port {port}"), format!("add {port} to its `bind`"))
        }
        Attempt::Socket(libc::AF_INET | libc::AF_INET6, libc::SOCK_STREAM) => {
            if policy.allows_tcp() {
                return None;
            }
            let remedy = "add the port to its `connect`, or to its `bind` to listen";
            ("to open a TCP socket".to_owned(), remedy.to_owned())
        }
        Attempt::Socket(libc::AF_INET | libc::AF_INET6, libc::SOCK_DGRAM) if !policy.udp => {
            ("to open a UDP socket".to_owned(), "set its `udp`".to_owned())
        }
        Attempt::Socket(libc::AF_UNIX, _) if !policy.unix_sockets => {
            ("to open a UNIX socket".to_owned(), "set its `unix_sockets`".to_owned())
        }
        Attempt::Execute if !policy.exec => ("to execute a program".to_owned(), "set its `exec`".to_owned()),
        Attempt::Resolve if !policy.udp => {
            ("to look up a host name".to_owned(), "set its `udp`, which name servers need".to_owned())
        }
        Attempt::Read(_)
        | Attempt::Write(_)
        | Attempt::Connect(_)
        | Attempt::Bind(_)
        | Attempt::Socket(..)
        | Attempt::Execute
        | Attempt::Resolve => return None,
    };
    Some(format!("the sandbox denied {what}; to allow it, {remedy} (setting `sandbox`)"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::Ports;

    #[test]
    fn what_the_policy_denies_has_a_setting_and_the_rest_is_none_of_its() {
        let policy = Policy {
            files: vec!["rw:/tmp".parse().unwrap()],
            connect: Ports::Listed(vec![80]),
            bind: Ports::Any,
            ..Policy::default()
        };
        let remedy = |attempt| explain(&policy, &attempt);
        for (attempt, setting) in [
            (Attempt::Read("/etc/shadow".into()), "add \"r:/etc/shadow\" to its `files`"),
            (Attempt::Write("/var/lib/shop/db".into()), "add \"rw:/var/lib/shop\" to its `files`"),
            (Attempt::Write("/usr/new".into()), "add \"rw:/usr\" to its `files`"),
            (Attempt::Connect(5432), "add 5432 to its `connect`"),
            (Attempt::Socket(libc::AF_INET6, libc::SOCK_DGRAM), "set its `udp`"),
            (Attempt::Socket(libc::AF_UNIX, libc::SOCK_STREAM), "set its `unix_sockets`"),
            (Attempt::Execute, "set its `exec`"),
            (Attempt::Resolve, "set its `udp`"),
        ] {
            let text = remedy(attempt).unwrap();
            assert!(text.contains(setting), "{text}");
        }
        for attempt in [
            Attempt::Read("/usr/lib".into()),
            Attempt::Read("/tmp/a/b".into()),
            Attempt::Write("/tmp/a/b".into()),
            Attempt::Connect(80),
            Attempt::Bind(1),
            Attempt::Socket(libc::AF_INET, libc::SOCK_STREAM),
            Attempt::Socket(libc::AF_NETLINK, libc::SOCK_RAW),
        ] {
            assert_eq!(remedy(attempt.clone()), None, "{attempt:?}");
        }
        assert!(explain(&Policy::default(), &Attempt::Socket(libc::AF_INET, libc::SOCK_STREAM)).is_some());
    }
}
