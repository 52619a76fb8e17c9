//! The kernel, the C library and the compiler.

use std::env::consts::ARCH;

use atoll_host::internal::build::cargo;
use atoll_host::internal::{exports, working_directory};

use super::finding::Finding;
use super::glibc;

/// The oldest kernel and C library that the standard library of Rust runs on.
const KERNEL: (u32, u32) = (3, 2);
const GLIBC: (u32, u32) = (2, 17);

/// The architectures that libraries are recognised for.
const ARCHITECTURES: [&str; 3] = ["x86_64", "aarch64", "riscv64"];

pub(super) fn check() -> Vec<Finding> {
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy().into_owned();
    let glibc = glibc::version();
    vec![
        of_version("kernel", &format!("Linux {release}"), version(&release), KERNEL),
        architecture(ARCH),
        of_version("C library", &format!("glibc {glibc}"), version(&glibc), GLIBC),
        compiler(),
        shared_libraries(),
        working_directories(),
    ]
}

fn working_directories() -> Finding {
    let check = "working directories of apps";
    match working_directory::try_working_directory() {
        Ok(()) => Finding::ok(check, "each app can have one"),
        Err(error) => {
            Finding::warning(check, format!("shared with the host: {error}"), working_directory::REMEDY)
        }
    }
}

fn shared_libraries() -> Finding {
    let check = "shared libraries of apps";
    if exports::in_force() {
        Finding::ok(check, "their threads and aborts are tracked")
    } else {
        Finding::warning(check, "their threads and aborts are not tracked", exports::REMEDY)
    }
}

fn architecture(found: &str) -> Finding {
    if ARCHITECTURES.contains(&found) {
        return Finding::ok("architecture", found);
    }
    let known = ARCHITECTURES.join(", ");
    Finding::problem("architecture", format!("unsupported: {found}"), format!("use a machine with {known}"))
}

fn of_version(check: &str, found: &str, version: Option<(u32, u32)>, oldest: (u32, u32)) -> Finding {
    let (major, minor) = oldest;
    match version {
        Some(version) if version >= oldest => Finding::ok(check, found),
        Some(_) => Finding::problem(check, found, format!("use {major}.{minor} or newer")),
        None => Finding::warning(
            check,
            found,
            format!("cannot read its version; {major}.{minor} or newer is required"),
        ),
    }
}

/// The first two numbers of a version.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

fn compiler() -> Finding {
    let remedy = "`atoll dev` needs cargo to build apps; `atoll serve` does not. Install Rust from https://rustup.rs, \
        or add its folder to PATH";
    match cargo().arg("--version").output() {
        Ok(output) if output.status.success() => {
            Finding::ok("cargo", String::from_utf8_lossy(&output.stdout).trim())
        }
        Ok(output) => {
            let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            Finding::warning("cargo", format!("failed to run: {stderr}"), remedy)
        }
        Err(error) => Finding::warning("cargo", format!("not found: {error}"), remedy),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::finding::Level;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(version("6.1.0-13-amd64"), Some((6, 1)));
        assert_eq!(version("2.39"), Some((2, 39)));
        assert_eq!(version("?"), None);
        let level = |text| of_version("x", text, version(text), GLIBC).level;
        assert_eq!([level("2.9"), level("2.17"), level("10.0")], [Level::Problem, Level::Ok, Level::Ok]);
        assert_eq!(level("new"), Level::Warning);
    }

    #[test]
    fn a_machine_that_is_too_old_or_unknown_has_a_remedy() {
        let text_of = |text| of_version("C library", text, version(text), GLIBC).to_text();
        let (old, unread) = (text_of("2.9"), text_of("new"));
        assert!(old.contains("C library: 2.9\n         -> use 2.17 or newer"), "{old}");
        assert!(unread.contains("-> cannot read its version; 2.17 or newer is required"), "{unread}");
        let other = architecture("s390x").to_text();
        assert!(other.contains("architecture: unsupported: s390x"), "{other}");
        assert!(other.contains("-> use a machine with x86_64, aarch64, riscv64"), "{other}");
    }
}
