//! Secrets in files.

use std::env;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::error::EnvironmentError;
use crate::config::Place;
use crate::fs::regular_file;

/// How many bytes a secret may have: no program can be started with a longer variable (`MAX_ARG_STRLEN` of Linux).
pub(crate) const SECRET_LIMIT: u64 = 128 << 10;

/// Where systemd puts the credentials of a service.
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// Whether others than the owner and the group may read a file, or use a folder.
const READ: u32 = 0o004;
const ENTER: u32 = 0o001;

/// The secret in a file: its content without the last line ending.
///
/// # Errors
/// It cannot be read, or is nothing that a variable can have.
pub(super) fn read(path: &Path, place: &Place) -> Result<String, EnvironmentError> {
    let unreadable =
        |reason| EnvironmentError::Secret { place: place.clone(), path: path.to_owned(), reason };
    let content = regular_file::read(path, SECRET_LIMIT).map_err(unreadable)?;
    // The error of the conversion has the bytes.
    let mut text = String::from_utf8(content).map_err(|_| unreadable(io::Error::other("it is not UTF-8")))?;
    if text.contains('\0') {
        return Err(unreadable(io::Error::other("it contains NUL, which no variable can")));
    }
    let end = text.strip_suffix('\n').map(|text| text.strip_suffix('\r').unwrap_or(text).len());
    text.truncate(end.unwrap_or(text.len()));
    Ok(text)
}

/// The file of a credential.
///
/// # Errors
/// The host was started without credentials.
pub(super) fn credential(name: &str, place: &Place) -> Result<PathBuf, EnvironmentError> {
    match env::var_os(CREDENTIALS) {
        Some(folder) => Ok(Path::new(&folder).join(name)),
        None => Err(EnvironmentError::NoCredentials { place: place.clone(), name: name.to_owned() }),
    }
}

/// Whether every user of the machine can read the file: by its permissions, and those of all folders above it.
pub(super) fn is_public(path: &Path) -> bool {
    let permits = |path: &Path, mode: u32| {
        path.metadata().is_ok_and(|metadata| metadata.permissions().mode() & mode == mode)
    };
    // What cannot be found cannot be read either, which is reported.
    let Ok(real) = path.canonicalize() else { return false };
    permits(&real, READ) && real.ancestors().skip(1).all(|folder| permits(folder, ENTER))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};

    fn file(content: impl AsRef<[u8]>) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), content).unwrap();
        file
    }

    #[test]
    fn the_last_line_ending_is_no_part_of_it() {
        for (content, secret) in [
            ("s3cret", "s3cret"),
            ("s3cret\n", "s3cret"),
            ("s3cret\r\n", "s3cret"),
            ("two\nlines\n\n", "two\nlines\n"),
            (" s3cret\r", " s3cret\r"),
            ("", ""),
        ] {
            assert_eq!(read(file(content).path(), &Place::default()).unwrap(), secret, "{content:?}");
        }
    }

    #[test]
    fn what_no_variable_can_have_is_refused_and_not_shown() {
        for (content, expected) in [(&b"s3cret\0"[..], "it contains NUL"), (b"s3cret\xff", "it is not UTF-8")]
        {
            let error = read(file(content).path(), &Place::default()).unwrap_err();
            let text = format!("{error} {error:?}");
            assert!(text.contains(expected) && !text.contains("s3cret"), "{text}");
            assert!(!text.contains("115, 51"), "nor its bytes: {text}");
        }
    }

    #[test]
    fn a_secret_at_the_limit_is_read_and_one_above_is_not() {
        let mut content = "x".repeat(SECRET_LIMIT as usize);
        assert_eq!(read(file(&content).path(), &Place::default()).unwrap(), content);
        content.push('x');
        let error = read(file(&content).path(), &Place::default()).unwrap_err().to_string();
        assert!(error.ends_with("found 131073 bytes, the limit is 131072"), "{error}");
    }

    #[test]
    fn a_file_is_public_if_its_folders_are() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        fs::write(&file, "s3cret").unwrap();
        let set = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        for (of_folder, of_file, expected) in
            [(0o700, 0o644, false), (0o711, 0o600, false), (0o711, 0o640, false), (0o711, 0o644, true)]
        {
            set(folder.path(), of_folder);
            set(&file, of_file);
            let above = folder.path().parent().unwrap().canonicalize().unwrap();
            let is_open =
                above.ancestors().all(|folder| folder.metadata().unwrap().permissions().mode() & ENTER != 0);
            assert_eq!(is_public(&file), expected && is_open, "{of_folder:o} {of_file:o}");
        }
        assert!(!is_public(Path::new("/nowhere/secret")));
    }
}
