//! What a process in a sandbox cannot do.

use std::fs::File;
use std::net::{TcpListener, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::os::unix::process::CommandExt;

use atoll_host::internal::sandbox::{FileAccess, Limits, Policy, Ports, Preset};
use serde_json::json;

use crate::child::Child;
use crate::{PRESETS, Sibling, deeds, denied, denied_by, preset, rule, sandboxed, secret, skip};

#[test]
fn secrets_and_the_data_of_others_are_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = secret(folder.path());
    denied("read", || json!(deeds::SECRET));
    denied("read", || json!(file));
    denied("list", || json!(folder.path()));
    denied("open-by-handle", || json!(file));
    denied("watch-everything", || json!(null));
    denied_by(&preset(Preset::Strict), "read", || json!("/etc/hosts"));
}

#[test]
fn nothing_is_written_outside() {
    let folder = tempfile::tempdir().unwrap();
    for deed in ["write", "delete", "rename", "link", "truncate", "truncate-on-open"] {
        denied(deed, || json!(secret(folder.path())));
    }
    for deed in ["create", "make-folder"] {
        denied(deed, || {
            let inner = tempfile::tempdir_in(folder.path()).unwrap().keep();
            json!(inner)
        });
    }
    for deed in ["change-mode", "change-owner", "change-times", "change-attribute"] {
        denied(deed, || json!(secret(folder.path())));
    }
}

#[test]
fn what_can_be_read_cannot_be_changed() {
    let folder = tempfile::tempdir().unwrap();
    for each in PRESETS {
        let files = vec![rule(FileAccess::Read, folder.path())];
        let policy = Policy { files, ..preset(each) };
        let mut deeds = vec![
            "write",
            "delete",
            "rename",
            "link",
            "truncate",
            "truncate-on-open",
            "change-mode",
            "change-owner",
            "change-times",
            "change-attribute",
        ];
        if rustix::process::geteuid().is_root() {
            deeds.push("change-mode-of-open");
        }
        for deed in deeds {
            denied_by(&policy, deed, || json!(secret(folder.path())));
        }
        denied_by(&policy, "create", || json!(tempfile::tempdir_in(folder.path()).unwrap().keep()));
    }
}

#[test]
fn no_program_is_executed() {
    denied("execute", || json!("/bin/true"));
    denied("execute-replacing", || json!("/bin/true"));
    denied("execute-from-memory", || json!("/bin/true"));
    denied_by(&preset(Preset::Strict), "fork", || json!(null));
    // What can be written is not executed, even if programs are.
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("true");
    std::fs::copy("/bin/true", &program).unwrap();
    for each in PRESETS {
        let files = vec![rule(FileAccess::ReadWrite, folder.path()), "r:/usr".parse().unwrap()];
        let policy = Policy { exec: true, files, ..preset(each) };
        denied_by(&policy, "execute", || json!(program));
    }
}

#[test]
fn programs_are_in_the_same_sandbox() {
    let files = vec!["rw:/dev/null".parse().unwrap(), "r:/usr".parse().unwrap()];
    let policy = Policy { exec: true, files, ..Policy::default() };
    let folder = tempfile::tempdir().unwrap();
    let file = secret(folder.path());
    Child::run("print", &json!(file), None).value();
    let Some(child) = sandboxed("print", &json!(file), &policy) else { return };
    let failure = child.outcome.unwrap().unwrap_err();
    assert!(failure.text.contains("Permission denied"), "{failure:?}");
}

#[test]
fn other_processes_are_not_reached() {
    let (parent, sibling) = (std::process::id(), Sibling::start());
    for process in [parent, sibling.number()] {
        for deed in [
            "trace",
            "signal",
            "signal-thread",
            "signal-by-descriptor",
            "open-memory",
            "read-environment",
            "steal-descriptor",
            "compare",
            "limit-other",
            "pin-other",
            "slow-other",
        ] {
            denied(deed, || json!(process));
        }
    }
    let number = Box::new(0x1234_5678_u64);
    let place = json!([parent, std::ptr::from_ref(&*number) as usize]);
    assert_eq!(Child::run("read-memory", &place, None).value(), &json!(*number));
    denied("read-memory", || place.clone());
}

#[test]
fn a_sibling_is_not_killed() {
    for each in PRESETS {
        let (mut free, mut safe) = (Sibling::start(), Sibling::start());
        Child::run("kill", &json!(free.number()), None).value();
        free.0.wait().unwrap();
        let Some(child) = sandboxed("kill", &json!(safe.number()), &preset(each)) else { return };
        assert_eq!(child.outcome.unwrap().unwrap_err().number, Some(libc::EPERM));
        assert_eq!(safe.0.try_wait().unwrap(), None);
    }
}

#[test]
fn the_system_is_not_changed() {
    let folder = tempfile::tempdir().unwrap();
    denied("mount", || json!(folder.path()));
    denied("new-mount", || json!(null));
    denied("change-root", || json!(null));
    denied("set-host-name", || json!("/proc/sys/kernel/hostname"));
    denied("adjust-clock", || json!(null));
    denied("io-uring", || json!(null));
    denied("add-key", || json!(null));
    denied("keyctl", || json!(null));
    denied("bpf", || json!(null));
    denied("count-events", || json!(null));
    denied("userfaultfd", || json!(null));
    denied("personality", || json!(null));
    denied("shared-segment", || json!(null));
    denied("message-queue", || json!(null));
    denied("type", || json!(null));
}

#[test]
fn no_namespace_is_made_or_entered() {
    denied("unshare", || json!(null));
    denied("unshare-user", || json!(null));
    denied("clone-namespace", || json!(null));
    denied("clone3-namespace", || json!(null));
    let own = File::open("/proc/self/ns/uts").unwrap();
    let number = share(own.as_raw_fd());
    for each in PRESETS {
        let policy = Policy { descriptors: vec![number.as_raw_fd()], ..preset(each) };
        denied_by(&policy, "enter-namespace", || json!(number.as_raw_fd()));
    }
}

/// A descriptor that children inherit.
pub(crate) fn share(fd: i32) -> OwnedFd {
    // SAFETY: `dup` has no preconditions, and its result belongs to nobody else.
    unsafe { OwnedFd::from_raw_fd(libc::dup(fd)) }
}

#[test]
fn descriptors_are_inherited_only_on_purpose() {
    let folder = tempfile::tempdir().unwrap();
    let file = secret(folder.path());
    let open = || share(File::open(&file).unwrap().as_raw_fd());
    let text = json!("another app's data");
    let inherited = open();
    assert_eq!(Child::run("read-descriptor", &json!(inherited.as_raw_fd()), None).value(), &text);
    for each in PRESETS {
        let (other, given) = (open(), open());
        let policy = Policy { descriptors: vec![given.as_raw_fd()], ..preset(each) };
        let Some(child) = sandboxed("read-descriptor", &json!(other.as_raw_fd()), &policy) else { return };
        assert_eq!(child.outcome.unwrap().unwrap_err().number, Some(libc::EBADF));
        let given = sandboxed("read-descriptor", &json!(given.as_raw_fd()), &policy).unwrap();
        assert_eq!(given.value(), &text);
    }
}

#[test]
fn tcp_is_only_for_the_ports_that_are_allowed() {
    let (one, other) = (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
    let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
    let free_port = || json!(port(&TcpListener::bind("127.0.0.1:0").unwrap()));
    denied("connect", || json!(port(&one)));
    denied("connect-fast", || json!(port(&one)));
    denied("connect-multipath", || json!(null));
    denied("bind", free_port);
    denied("listen-anywhere", || json!(null));
    for each in PRESETS {
        let connect = Ports::Listed(vec![port(&one)]);
        let policy = Policy { connect, ..preset(each) };
        let Some(child) = sandboxed("connect", &json!(port(&one)), &policy) else { return };
        child.value();
        denied_by(&policy, "connect", || json!(port(&other)));
        denied_by(&policy, "connect-fast", || json!(port(&other)));
        denied_by(&policy, "connect-multipath", || json!(null));
        denied_by(&policy, "bind", free_port);
        denied_by(&policy, "listen-anywhere", || json!(null));
        for deed in ["raw-socket", "packet-socket", "netlink"] {
            denied_by(&policy, deed, || json!(null));
        }
        let any = Policy { connect: Ports::Any, ..preset(each) };
        sandboxed("connect", &json!(port(&other)), &any).unwrap().value();

        let reserved = port(&TcpListener::bind("127.0.0.1:0").unwrap());
        let policy = Policy { bind: Ports::Listed(vec![reserved]), ..preset(each) };
        sandboxed("bind", &json!(reserved), &policy).unwrap().value();
        denied_by(&policy, "connect", || json!(port(&one)));
        denied_by(&policy, "bind", free_port);
    }
}

#[test]
fn udp_is_only_there_if_it_is_allowed() {
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = receiver.local_addr().unwrap().port();
    denied("udp", || json!(port));
    for deed in ["raw-socket", "packet-socket", "netlink"] {
        denied(deed, || json!(null));
    }
    for each in PRESETS {
        let policy = Policy { udp: true, ..preset(each) };
        let Some(child) = sandboxed("udp", &json!(port), &policy) else { return };
        child.value();
        for deed in ["raw-socket", "packet-socket", "netlink"] {
            denied_by(&policy, deed, || json!(null));
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        denied_by(&policy, "connect", || json!(listener.local_addr().unwrap().port()));
    }
}

#[test]
fn unix_sockets_of_others_are_not_reached() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stream");
    let _listener = UnixListener::bind(&path).unwrap();
    let datagrams = folder.path().join("datagrams");
    let _receiver = UnixDatagram::bind(&datagrams).unwrap();
    let name = format!("atoll-test-{}", fastrand::u64(..));
    let _abstract = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    denied("unix", || json!(path));
    denied("unix-datagram-pair", || json!(datagrams));
    denied("abstract", || json!(name));
    denied("unix-listen", || json!(folder.path().join(format!("listen-{}", fastrand::u64(..)))));
    for each in PRESETS {
        let policy = Policy { unix_sockets: true, ..preset(each) };
        let Some(child) = sandboxed("unix", &json!(path), &policy) else { return };
        child.value();
        denied_by(&policy, "abstract", || json!(name));
        denied_by(&policy, "unix-listen", || {
            json!(folder.path().join(format!("listen-{}", fastrand::u64(..))))
        });
    }
}

#[test]
fn calls_of_another_kind_end_the_process() {
    let free = Child::run("foreign-call", &json!(null), None);
    if !matches!(free.outcome, Some(Ok(_))) {
        return println!("foreign-call is not tried: this machine has no 32-bit system calls");
    }
    for each in PRESETS {
        let Some(child) = sandboxed("foreign-call", &json!(null), &preset(each)) else { return };
        assert_eq!((child.signal(), child.outcome.is_none()), (Some(libc::SIGSYS), true));
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn calls_of_x32_are_not_there() {
    denied("x32-call", || json!(null));
}

#[test]
fn a_user_that_is_not_root_is_confined_as_well() {
    if !rustix::process::geteuid().is_root() {
        return skip("another user", "only root starts processes of others");
    }
    let nobody = 65_534;
    let policy = Policy { limits: Limits { open_files: Some(64), ..Limits::default() }, ..Policy::default() };
    let child = Child::run_with("status", &json!(null), Some(&policy), |command| {
        command.uid(nobody).gid(nobody);
    });
    let status = &child.value()["status"];
    assert!(status["Uid"].as_str().unwrap().starts_with("65534\t65534\t65534"), "{status}");
    let process = json!(Sibling::start().number());
    let child = Child::run_with("signal", &process, Some(&policy), |command| {
        command.uid(nobody).gid(nobody);
    });
    assert!(matches!(child.outcome, Some(Err(_))), "{child:#?}");
}
