//! What a process in a sandbox still can do.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;

use atoll_host::internal::sandbox::{Account, FileAccess, Limits, Policy, Ports, Preset};
use serde_json::json;

use crate::child::Child;
use crate::support::library;
use crate::{PRESETS, allowed_by, preset, rule};

#[test]
fn threads_memory_time_and_pipes_work() {
    for each in PRESETS {
        allowed_by(&preset(each), "ordinary", &json!(null));
        let limits = Limits { memory: Some(1 << 30), open_files: Some(64), ..Limits::default() };
        allowed_by(&Policy { limits, ..preset(each) }, "ordinary", &json!(null));
    }
}

#[test]
fn files_in_an_allowed_folder_work() {
    for each in PRESETS {
        let folder = tempfile::tempdir().unwrap();
        let policy = Policy { files: vec![rule(FileAccess::ReadWrite, folder.path())], ..preset(each) };
        let expected = json!({ "text": "some", "mode": 0o600, "names": 3 });
        let found = allowed_by(&policy, "files-in-folder", &json!(folder.path()));
        assert!(found.is_none_or(|found| found == expected));
    }
}

#[test]
fn one_file_can_be_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let file = crate::secret(folder.path());
    for each in PRESETS {
        let policy = Policy { files: vec![rule(FileAccess::Read, &file)], ..preset(each) };
        allowed_by(&policy, "read", &json!(file));
        crate::denied_by(&policy, "list", || json!(folder.path()));
        let policy = Policy { files: vec![rule(FileAccess::ReadWrite, &file)], ..preset(each) };
        allowed_by(&policy, "write", &json!(file));
    }
}

#[test]
fn the_standard_preset_reads_the_systems_files() {
    for path in ["/etc/hosts", "/proc/self/maps", "/proc/self/status", "/dev/null"] {
        allowed_by(&preset(Preset::Standard), "read", &json!(path));
    }
    for path in ["/usr/lib", "/proc/self/fd", "/proc/self/task"] {
        allowed_by(&preset(Preset::Standard), "list", &json!(path));
    }
    allowed_by(&preset(Preset::Standard), "write", &json!("/dev/null"));
    let resolved = allowed_by(&preset(Preset::Standard), "resolve", &json!(null));
    assert!(resolved.is_none_or(|resolved| resolved == json!(true)));
    allowed_by(&preset(Preset::Standard), "fork", &json!(null));
}

#[test]
fn a_tokio_runtime_with_a_server_and_a_client_works() {
    for each in PRESETS {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let ports = || Ports::Listed(vec![port]);
        let policy = Policy { connect: ports(), bind: ports(), ..preset(each) };
        let said = allowed_by(&policy, "tokio", &json!(port));
        assert!(said.is_none_or(|said| said == json!("hello")));
    }
}

#[test]
fn programs_are_executed_if_they_are_allowed() {
    for each in PRESETS {
        let usr = ["r:/usr", "r:/lib", "r:/lib64", "r:/bin", "r:/etc/ld.so.cache"];
        let files = usr.iter().filter(|path| std::path::Path::new(&path[2..]).exists());
        let files = files.map(|path| path.parse().unwrap()).collect();
        let policy = Policy { exec: true, files, ..preset(each) };
        let code = allowed_by(&policy, "execute", &json!("/bin/true"));
        assert!(code.is_none_or(|code| code == json!(0)));
    }
}

/// A library in memory that nobody can change, for children to inherit.
fn sealed_library() -> OwnedFd {
    let content = std::fs::read(library("versioned")).unwrap();
    // SAFETY: the name is a C string, and the descriptor belongs to nobody else.
    let mut file =
        unsafe { File::from_raw_fd(libc::memfd_create(c"library".as_ptr(), libc::MFD_ALLOW_SEALING)) };
    file.write_all(&content).unwrap();
    let seals = libc::F_SEAL_SEAL | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE;
    // SAFETY: no preconditions.
    assert_eq!(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals) }, 0);
    file.into()
}

#[test]
fn a_library_is_loaded_from_sealed_memory() {
    let library = sealed_library();
    for each in PRESETS {
        let policy = Policy { descriptors: vec![library.as_raw_fd()], ..preset(each) };
        allowed_by(&policy, "load-from-descriptor", &json!(library.as_raw_fd()));
        let limits = Limits { memory: Some(256 << 20), ..Limits::default() };
        allowed_by(&Policy { limits, ..policy.clone() }, "load-from-descriptor", &json!(library.as_raw_fd()));
        if rustix::process::geteuid().is_root() {
            let account = Some(Account { uid: 2_100_000_000, gid: 2_100_000_000 });
            let policy = Policy { account, ..policy };
            allowed_by(&policy, "load-from-descriptor", &json!(library.as_raw_fd()));
        }
    }
}

#[test]
fn a_library_is_loaded_by_a_user_that_is_not_root() {
    if !rustix::process::geteuid().is_root() {
        // All the other tests are of that.
        return;
    }
    let library = sealed_library();
    for each in PRESETS {
        let policy = Policy { descriptors: vec![library.as_raw_fd()], ..preset(each) };
        let number = json!(library.as_raw_fd());
        let child = Child::run_with("load-from-descriptor", &number, Some(&policy), |command| {
            command.uid(65_534).gid(65_534);
        });
        child.value();
    }
}
