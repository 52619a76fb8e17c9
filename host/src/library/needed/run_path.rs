//! The folders in which a library looks for those that it needs: `DT_RUNPATH`, or else `DT_RPATH`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A folder of a run path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RunPathEntry {
    /// One that is relative to the library's folder.
    Relative(PathBuf),
    /// One of the system, which the dynamic loader finds by itself.
    Absolute(PathBuf),
}

/// The folders of a run path, for a library in the folder `origin`. Entries that depend on anything else, as on the
/// working directory or the processor, are left to the dynamic loader.
pub(super) fn entries(run_path: &[u8], origin: &Path) -> Vec<RunPathEntry> {
    run_path.split(|byte| *byte == b':').filter_map(|entry| self::entry(entry, origin)).collect()
}

fn entry(entry: &[u8], origin: &Path) -> Option<RunPathEntry> {
    let rest = entry.strip_prefix(b"$ORIGIN").or_else(|| entry.strip_prefix(b"${ORIGIN}"));
    let path = |bytes: &[u8]| PathBuf::from(OsStr::from_bytes(bytes));
    let is_plain = |bytes: &[u8]| !bytes.contains(&b'$');
    match rest {
        Some(b"") => Some(RunPathEntry::Relative(origin.to_owned())),
        Some([b'/', rest @ ..]) if is_plain(rest) => {
            let rest = &rest[rest.iter().take_while(|byte| **byte == b'/').count()..];
            Some(RunPathEntry::Relative(origin.join(path(rest))))
        }
        None if entry.starts_with(b"/") && is_plain(entry) => Some(RunPathEntry::Absolute(path(entry))),
        Some(_) | None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_relative_to_the_library_or_absolute() {
        use RunPathEntry::{Absolute, Relative};
        let found = |text: &str| entries(text.as_bytes(), Path::new("/srv/app"));
        let relative = |path: &str| Relative(path.into());
        assert_eq!(found(""), []);
        assert_eq!(found("$ORIGIN"), [relative("/srv/app")]);
        assert_eq!(
            found("${ORIGIN}/lib:$ORIGIN/../x"),
            [relative("/srv/app/lib"), relative("/srv/app/../x")]
        );
        assert_eq!(found("$ORIGIN//lib"), [relative("/srv/app/lib")]);
        assert_eq!(found("/opt/lib:$ORIGIN/"), [Absolute("/opt/lib".into()), relative("/srv/app/")]);
    }

    #[test]
    fn what_depends_on_anything_else_is_left_out() {
        for text in ["lib", "$LIB", "/opt/$LIB", "$ORIGIN/$LIB", "$ORIGINAL", "${ORIGIN", "x$ORIGIN", "::"] {
            assert_eq!(entries(text.as_bytes(), Path::new("/srv/app")), [], "{text}");
        }
    }
}
