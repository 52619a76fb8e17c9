//! Why a library is not loaded.

use std::io;

use atoll_plugin::stamp;

use super::damage::Damage;
use crate::library::content_hash::ContentHash;

/// Why a library is not loaded. Each contains what was found, what was expected, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InspectError {
    /// The staged copy could not be read.
    #[error("cannot read the staged copy: {0}")]
    Read(io::Error),
    /// The file is no ELF file.
    #[error("not a library: the file starts with {found:02x?}, expected an ELF shared object")]
    NotElf {
        /// The first bytes of the file.
        found: Vec<u8>,
    },
    /// The file ends before its contents do.
    #[error(
        "the library is incomplete: found {found} bytes, expected at least {needed}; it is loaded again when it changes"
    )]
    Incomplete {
        /// The file's size.
        found: u64,
        /// Where what is known of the contents ends.
        needed: u64,
    },
    /// The file is made for another kind of machine.
    #[error(
        "the library is for another machine: found {found}, expected {needed}; build it for {}",
        stamp::TARGET
    )]
    Machine {
        /// What the file is for.
        found: String,
        /// What the host is.
        needed: String,
    },
    /// The file is an ELF file, but no library.
    #[error(
        "not a library: found {found}, expected a shared object; use the file that `crate-type = [\"cdylib\"]` builds"
    )]
    NotALibrary {
        /// What the file is.
        found: &'static str,
    },
    /// The file's headers and tables contradict themselves, or lead out of the file.
    #[error("the library is damaged: {0}; rebuild it, or copy it again")]
    Damaged(Damage),
    /// The library has no stamp.
    #[error(
        "not an Atoll app: missing section {}; add `atoll_plugin::export_app!(app);` to its lib.rs",
        stamp::SECTION
    )]
    NoStamp,
    /// The stamp is not what it should be.
    #[error(
        "cannot parse the library's stamp {text:?}: {reason}; build it with this host's version of atoll-plugin"
    )]
    Stamp {
        /// The contents of the section.
        text: String,
        /// What is wrong with them.
        reason: serde_json::Error,
    },
    /// The library is not what `atoll build` wrote.
    #[error(
        "checksum mismatch: found {}, expected {}; the library was damaged or modified after `atoll build`: copy it \
        again, or run `atoll build` again",
        found.short(),
        needed.short()
    )]
    Checksum {
        /// That of what is there.
        found: ContentHash,
        /// That of what was written.
        needed: ContentHash,
    },
    /// The library is built for another version of the interface.
    #[error(
        "the library is for another version of Atoll: found API version {found}, expected {needed}; \
         {}", if found < needed { "update its atoll-plugin" } else { "update the host" }
    )]
    ApiVersion {
        /// The library's version.
        found: u32,
        /// The host's version.
        needed: u32,
    },
    /// The library is built for another target.
    #[error(
        "the library is for another target: found {found}, expected {needed}{}; build it with `--target {needed}`, or \
         set `build.target` of the app to it",
        two_c_libraries(found, needed)
    )]
    Target {
        /// The library's target.
        found: String,
        /// The host's target.
        needed: &'static str,
    },
    /// The library is of another package than the one asked for.
    #[error(
        "the library is from another package: found {found}, expected {needed}; if both packages build the same file \
        name into the same folder, give one of them another `name` under `[lib]`, else correct the app's path"
    )]
    Package {
        /// The library's package.
        found: String,
        /// The package that was asked for.
        needed: String,
    },
    /// The library ends the process when it panics.
    #[error(
        "a panic in the library would abort the host: found panic = {found:?}, expected \"unwind\"; set `panic = \
        \"unwind\"` in its build profile (in the workspace's Cargo.toml)"
    )]
    Panic {
        /// The library's panic strategy.
        found: String,
    },
}

/// What two targets mean that differ in their C library only.
fn two_c_libraries(found: &str, needed: &str) -> &'static str {
    match (found.ends_with("-musl"), needed.ends_with("-musl")) {
        (true, false) => " (a host with glibc cannot load a library for musl: a process has one C library)",
        (false, true) => " (a host with musl cannot load a library for glibc: a process has one C library)",
        _ => "",
    }
}

impl From<object::read::Error> for InspectError {
    fn from(error: object::read::Error) -> Self {
        Self::Damaged(error.into())
    }
}
