//! Files that are replaced in one step: who reads one finds the old content or the new, and nothing in between.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// How the name of a file begins that is not complete yet.
pub(crate) const UNFINISHED: &str = ".atoll-unfinished-";

/// Replaces the content of a file, or makes the file, and waits until that is on the disk. A link is followed; permissions stay
/// as they are.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mode = fs::metadata(&path).ok().map(|metadata| metadata.permissions());
    write_to_disk(&path, 0o666, |file| {
        if let Some(mode) = mode {
            file.set_permissions(mode)?;
        }
        file.write_all(content)
    })
}

/// As [`write`], and waits until the content is on the disk, which takes seconds where the disk is busy: else the name may
/// outlive a power failure, and the content not.
pub(crate) fn write_to_disk(
    path: &Path,
    mode: u32,
    fill: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    write(path, mode, |file| {
        fill(file)?;
        file.sync_all()
    })
}

/// Has `fill` write a file that takes the place of what is at `path`. `mode`: who may do what with it, as far as the
/// umask allows. After a power failure, the file may be damaged.
pub(crate) fn write(
    path: &Path,
    mode: u32,
    fill: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut new = tempfile::Builder::new()
        .prefix(UNFINISHED)
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(folder)?;
    fill(new.as_file_mut())?;
    new.persist(path)?;
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// The names of the entries of a folder.
    pub(crate) fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap().flatten();
        let mut names: Vec<_> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_replaced_with_its_permissions_and_behind_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        replace(&file, b"one").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        symlink("file", &link).unwrap();
        replace(&link, b"two").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"two");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(link.is_symlink());
        assert_eq!(names(folder.path()), ["file", "link"]);
    }

    #[test]
    fn a_failure_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "old").unwrap();
        let failed = write(&file, 0o666, |new| {
            new.write_all(b"half")?;
            Err(io::Error::other("no more"))
        });
        assert_eq!(failed.unwrap_err().to_string(), "no more");
        assert_eq!(fs::read(&file).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["file"]);
        assert!(write(&folder.path().join("none/file"), 0o666, |_| Ok(())).is_err());
    }
}
