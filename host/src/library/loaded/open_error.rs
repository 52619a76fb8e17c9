//! Why the dynamic loader did not open a library, and what to do about it.

use std::error::Error;
use std::ffi::CStr;

use crate::library::open_paths::{NeededPath, OpenPaths};

/// Why the dynamic loader did not open a library: its words, and what to do.
#[derive(Debug, thiserror::Error)]
#[error("cannot open {}: \
    {reason}{}", needed.as_deref().map_or("the library".to_owned(), |name| format!("{name}, which the library needs")), advice.as_deref().map(|advice| format!("; {advice}")).unwrap_or_default())]
pub struct OpenError {
    /// The name of the shared library that could not be opened; `None`: the library itself.
    needed: Option<String>,
    reason: String,
    advice: Option<String>,
}

impl OpenError {
    /// What `dlopen` of a library failed with.
    pub(crate) fn new(error: &libloading::Error, paths: &OpenPaths) -> Self {
        let library = paths.library.display().to_string();
        Self::of(error, &library, None, paths)
    }

    /// What `dlopen` of a library that it needs failed with.
    pub(crate) fn of_needed(error: &libloading::Error, needed: &NeededPath, paths: &OpenPaths) -> Self {
        let path = needed.path.display().to_string();
        Self::of(error, &path, Some(needed.original_name().to_owned()), paths)
    }

    fn of(error: &libloading::Error, path: &str, needed: Option<String>, paths: &OpenPaths) -> Self {
        let reason = loader_says(error);
        // The names of copies mean nothing to people.
        let reason = reason.strip_prefix(&format!("{path}: ")).unwrap_or(&reason);
        let mut reason = reason.replace(&paths.library.display().to_string(), "the library");
        for copy in &paths.needed {
            reason = reason.replace(&copy.path.display().to_string(), copy.original_name());
            reason = reason.replace(&copy.name, copy.original_name());
        }
        Self { needed, advice: advice(&reason, &paths.searched), reason }
    }

    /// The loader's words.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

/// The loader's words, which are the error's source: the error itself only names the function.
pub(super) fn loader_says(error: &libloading::Error) -> String {
    error.source().map_or_else(|| error.to_string(), ToString::to_string)
}

/// What to do about a failure that the loader describes like this. It speaks English, as no Atoll process chooses a
/// language of the C library's messages.
fn advice(reason: &str, searched: &[String]) -> Option<String> {
    let has = |words: &str| reason.contains(words);
    if let Some((name, _)) = reason.split_once(": cannot open shared object file: No such file or directory")
    {
        let looked = match searched {
            [] => String::new(),
            folders => format!(" (Atoll has looked in {})", folders.join(", ")),
        };
        return Some(format!(
            "it needs the shared library {name}, which is not installed{looked}: put it beside the library, install its \
            package, or link it statically"
        ));
    }
    if let Some(version) = quoted_after(reason, "version `") {
        return Some(if version.starts_with("GLIBC_") {
            format!(
                "it was built for a newer C library than this machine's {}: build it on a system as old as this one, \
                such as a container with the same release",
                glibc()
            )
        } else {
            format!(
                "it was built for a newer version of a shared library than the installed one: install one with \
                {version}"
            )
        });
    }
    let advice = if has("cannot allocate memory in static TLS block") {
        "the process has no room left for thread-locals of this kind (initial-exec), which some C libraries use: start \
         the host with GLIBC_TUNABLES=glibc.rtld.optional_static_tls=65536, or more"
    } else if has("undefined symbol") {
        "none of its libraries has this symbol: link the one that does (`cargo::rustc-link-lib` in build.rs)"
    } else if has("failed to map segment") {
        "the folder of staged copies may be on a file system that is mounted `noexec`: set TMPDIR to a folder on another one"
    } else if has("executable stack") {
        "it requires an executable stack: build its assembly code with `-Wa,--noexecstack`"
    } else if has("file too short") || has("invalid ELF header") || has("wrong ELF class") {
        "a shared library that it needs is damaged or for another machine: reinstall it"
    } else {
        return None;
    };
    Some(advice.to_owned())
}

/// What stands between these words and the next quotation mark.
fn quoted_after<'a>(text: &'a str, words: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(words)?;
    rest.split_once('\'').map(|(quoted, _)| quoted)
}

/// The version of the C library in this process.
fn glibc() -> String {
    // SAFETY: takes nothing, and returns a constant text of the C library.
    let version = unsafe { CStr::from_ptr(libc::gnu_get_libc_version()) };
    format!("glibc {}", version.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_failure_has_its_advice() {
        let advice = |reason| super::advice(reason, &[]).unwrap();
        let missing = advice("libown.so.1: cannot open shared object file: No such file or directory");
        assert!(
            missing.starts_with("it needs the shared library libown.so.1, which is not installed: put it")
        );
        let folders = ["/srv/a.libs", "/srv"].map(str::to_owned);
        let missing =
            super::advice("libown.so.1: cannot open shared object file: No such file or directory", &folders);
        assert!(missing.unwrap().contains("not installed (Atoll has looked in /srv/a.libs, /srv): put it"));
        let newer =
            "/lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.99' not found (required by the library)";
        assert!(advice(newer).contains(&format!("than this machine's {}", glibc())));
        let other = "libx.so.1: version `X_2' not found (required by the library)";
        assert!(advice(other).ends_with("install one with X_2"));
        for (reason, word) in [
            ("cannot allocate memory in static TLS block", "optional_static_tls"),
            ("undefined symbol: own_function", "link the one that does"),
            ("failed to map segment from shared object: Operation not permitted", "TMPDIR"),
            ("libown.so.1: file too short", "reinstall it"),
        ] {
            assert!(advice(reason).contains(word), "{reason}");
        }
        assert_eq!(super::advice("something new", &[]), None);
    }

    #[test]
    fn the_copy_is_not_named() {
        // SAFETY: there is nothing to open.
        let error =
            unsafe { libloading::os::unix::Library::open(Some("/nowhere/staged.so"), 2) }.unwrap_err();
        let mut paths = OpenPaths { library: "/nowhere/staged.so".into(), needed: vec![], searched: vec![] };
        let found = OpenError::new(&error, &paths);
        assert_eq!(found.reason(), "cannot open shared object file: No such file or directory");

        let needed = NeededPath { name: "libown.so-12ab".into(), path: "/nowhere/staged.so".into() };
        paths =
            OpenPaths { library: "/nowhere/app.so".into(), needed: vec![needed.clone()], searched: vec![] };
        let found = OpenError::of_needed(&error, &needed, &paths);
        assert_eq!(
            found.to_string(),
            "cannot open libown.so, which the library needs: cannot open shared object file: No such file or directory"
        );
    }
}
