//! Resources, users, and what a process is.

use std::collections::BTreeMap;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;

use atoll_host::internal::sandbox::{
    Account, FileAccess, Layer, Limits, Namespace, Policy, Ports, Preset, Require,
};
use serde_json::{Value, json};

use crate::child::{Child, Preparation};
use crate::escapes::share;
use crate::{PRESETS, allowed_by, denied_by, preset, rule, sandboxed, sandboxed_with, secret, skip};

const MIB: usize = 1 << 20;

fn limited(each: Preset, limits: Limits) -> Policy {
    Policy { limits, ..preset(each) }
}

#[test]
fn memory_is_limited() {
    for each in PRESETS {
        let policy = limited(each, Limits { memory: Some(256 * MIB as u64), ..Limits::default() });
        Child::run("allocate", &json!(512 * MIB), None).value();
        let Some(child) = sandboxed("allocate", &json!(512 * MIB), &policy) else { return };
        assert_eq!(child.outcome.unwrap().unwrap_err().number, Some(libc::ENOMEM));
        allowed_by(&policy, "allocate", &json!(128 * MIB));
        // What is not private is not counted, and therefore not there.
        denied_by(&policy, "file-in-memory", || json!(MIB));
        denied_by(&policy, "allocate-shared", || json!(MIB));
        for deed in ["file-in-memory", "allocate-shared"] {
            allowed_by(&preset(each), deed, &json!(MIB));
        }
    }
}

#[test]
fn cpu_time_is_limited() {
    let policy = limited(Preset::Standard, Limits { cpu_seconds: Some(1), ..Limits::default() });
    let Some(child) = sandboxed("spin", &json!(null), &policy) else { return };
    assert_eq!(child.signal(), Some(libc::SIGKILL), "{child:#?}");
}

#[test]
fn open_files_are_limited() {
    let policy = limited(Preset::Standard, Limits { open_files: Some(32), ..Limits::default() });
    Child::run("open-many", &json!(64), None).value();
    let Some(child) = sandboxed("open-many", &json!(64), &policy) else { return };
    assert_eq!(child.outcome.unwrap().unwrap_err().number, Some(libc::EMFILE));
    allowed_by(&policy, "open-many", &json!(20));
}

/// An account that no other test uses.
fn account() -> Account {
    let uid = 2_000_000_000 + fastrand::u32(..1_000_000);
    Account { uid, gid: uid }
}

#[test]
fn threads_are_limited_for_a_separate_user() {
    let limits = Limits { threads: Some(16), ..Limits::default() };
    let alone = limited(Preset::Standard, limits);
    let child = Child::run("nothing", &json!(null), Some(&alone));
    assert!(child.refused.unwrap().contains("add `user`, or remove `threads`"));
    let available = Policy { require: Require::Available, ..alone.clone() };
    let in_force = Child::run("nothing", &json!(null), Some(&available)).in_force.unwrap();
    assert_eq!(in_force.missing[0].layer, Layer::Limits);
    if !rustix::process::geteuid().is_root() {
        return skip("a limit of threads", "only root starts processes of others");
    }
    let policy = Policy { account: Some(account()), ..alone };
    Child::run("threads", &json!(32), None).value();
    let Some(child) = sandboxed("threads", &json!(32), &policy) else { return };
    assert_eq!(child.outcome.unwrap().unwrap_err().number, Some(libc::EAGAIN));
    allowed_by(&policy, "threads", &json!(8));
}

#[test]
fn a_separate_user_has_nothing_of_the_hosts() {
    let policy = Policy { account: Some(account()), ..Policy::default() };
    if !rustix::process::geteuid().is_root() {
        let child = Child::run("nothing", &json!(null), Some(&policy));
        assert!(child.refused.unwrap().contains("run it as root, or remove `user`"));
        return skip("a separate user", "only root starts processes of others");
    }
    let Some(child) = sandboxed("status", &json!(null), &policy) else { return };
    let uid = policy.account.unwrap().uid.to_string();
    let status = &child.value()["status"];
    assert_eq!(status["Uid"], [&*uid; 4].join("\t"));
    assert_eq!(status["Gid"], [&*uid; 4].join("\t"));
    assert_eq!(status["Groups"], "");
    let in_force = child.in_force.unwrap();
    assert!(in_force.layers.contains(&Layer::User) && in_force.missing.is_empty(), "{in_force:?}");
    // What the sandbox lets through, the file's permissions do not.
    let folder = tempfile::tempdir().unwrap();
    let file = secret(folder.path());
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let policy = Policy { files: vec![rule(FileAccess::Read, folder.path())], ..policy };
    denied_by(&policy, "read", || json!(file));
}

#[test]
fn a_process_has_no_privileges_and_nothing_of_its_parent() {
    let folder = tempfile::tempdir().unwrap();
    let inherited = share(std::io::stderr().as_raw_fd());
    let environment = BTreeMap::from([("ATOLL_GIVEN".to_owned(), "yes".to_owned())]);
    let policy = Policy {
        environment,
        folder: Some(folder.path().to_owned()),
        descriptors: vec![inherited.as_raw_fd()],
        limits: Limits { open_files: Some(100), ..Limits::default() },
        ..Policy::default()
    };
    let Some(child) = sandboxed("status", &json!(null), &policy) else { return };
    let found = child.value();
    let status = &found["status"];
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(status[set], "0000000000000000", "{set}");
    }
    if rustix::process::geteuid().is_root() {
        assert_eq!(status["CapBnd"], "0000000000000000");
    }
    assert_eq!((&status["NoNewPrivs"], &status["Seccomp"]), (&json!("1"), &json!("2")));
    assert_eq!(status["Umask"], "0077");
    assert_eq!(found["limits"], json!({ "core": [0, 0], "files": [100, 100] }));
    assert_eq!((&found["dumpable"], &found["folder"]), (&json!(0), &json!(folder.path())));
    // Standard input, output and error, and the one that was given.
    assert_eq!(found["descriptors"], 4);
    let variables: Vec<_> = found["environment"]
        .as_array()
        .unwrap()
        .iter()
        .map(|variable| variable[0].as_str().unwrap())
        .collect();
    // The other one is the test's order.
    assert_eq!(variables.len(), 2, "{variables:?}");
    assert!(variables.contains(&"ATOLL_GIVEN"), "{variables:?}");
}

#[test]
fn a_process_still_ends_with_its_parent() {
    let mut policy = Policy::default();
    if rustix::process::geteuid().is_root() {
        policy.account = Some(account());
    }
    let child = Child::run_with("status", &json!(null), Some(&policy), |command| {
        // SAFETY: `prctl` is safe between `fork` and `exec`.
        unsafe {
            command.pre_exec(|| {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                Ok(())
            });
        }
    });
    assert_eq!(child.value()["death_signal"], libc::SIGKILL);
}

#[test]
fn namespaces_are_separate() {
    for each in PRESETS {
        let policy = Policy {
            namespaces: vec![Namespace::Ipc, Namespace::Network],
            connect: Ports::Any,
            ..preset(each)
        };
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = json!(listener.local_addr().unwrap().port());
        Child::run("connect", &port, None).value();
        let Some(child) = sandboxed("connect", &port, &policy) else { return };
        assert!(child.in_force.unwrap().layers.contains(&Layer::Namespaces));
        assert_eq!(child.outcome.unwrap().unwrap_err().number, Some(libc::ENETUNREACH));
    }
}

#[test]
fn a_policy_that_cannot_be_enforced_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    let refused = |policy: Policy| {
        let child = Child::run("nothing", &Value::Null, Some(&policy));
        assert!(child.in_force.is_none(), "{child:#?}");
        child.refused.unwrap()
    };
    let text = refused(Policy { files: vec![rule(FileAccess::Read, &missing)], ..Policy::default() });
    assert_eq!(
        text,
        format!(
            "cannot open {} of the sandbox's `files`: No such file or directory (os error 2); create it, or remove it \
            from `files`",
            missing.display()
        )
    );
    let text = refused(Policy { folder: Some(missing), ..Policy::default() });
    assert!(text.starts_with("cannot change to the working directory /"), "{text}");
}

#[test]
fn a_process_that_was_prepared_for_another_kind_of_policy_is_no_less_confined() {
    let nothing = |preparation, policy: &Policy| {
        Child::run_prepared("nothing", &Value::Null, Some(policy), preparation, |_| {})
    };
    let Some(own) = sandboxed_with(Preparation::Own, "nothing", &Value::Null, &Policy::default()) else {
        return;
    };
    // The filters of its kind are in force already, and others cannot replace them.
    let refused = nothing(Preparation::Other, &Policy::default()).refused.unwrap();
    assert!(refused.contains("prepared for policies of another kind"), "{refused}");
    // Those of the strict preset are only made ahead, and are made anew.
    let strict = preset(Preset::Strict);
    let layers = |child: Child| child.in_force.unwrap().layers;
    assert_eq!(layers(nothing(Preparation::Other, &strict)), layers(nothing(Preparation::Nothing, &strict)));
    assert_eq!(layers(own), layers(nothing(Preparation::Nothing, &Policy::default())));
}

#[test]
fn all_layers_are_reported() {
    for each in PRESETS {
        let listed = || Ports::Listed(vec![80]);
        let policy = Policy { connect: listed(), unix_sockets: true, ..preset(each) };
        let Some(child) = sandboxed("nothing", &json!(null), &policy) else { return };
        let mut layers = child.in_force.unwrap().layers;
        layers.sort();
        let expected = [
            Layer::Limits,
            Layer::Descriptors,
            Layer::Privileges,
            Layer::Files,
            Layer::Tcp,
            Layer::Signals,
            Layer::AbstractSockets,
            Layer::SystemCalls,
        ];
        assert_eq!(layers, expected);
    }
}
