//! Reading files that a path in a setting leads to, whatever is there: only a regular file is opened, none is waited for,
//! and none is read beyond a limit.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::thread;

use tokio::sync::oneshot;

/// How many bytes a certificate, a key, a token or a manifest may have.
pub const SMALL_FILE_LIMIT: u64 = 1 << 20;

/// Opens a regular file for reading.
///
/// # Errors
/// It cannot be opened, or is a folder, a pipe, a socket or a device.
pub fn open(path: &Path) -> io::Result<File> {
    // Before it is opened, which has effects for a device.
    check(&std::fs::metadata(path)?)?;
    // What took its place meanwhile is not waited for.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
    check(&file.metadata()?)?;
    Ok(file)
}

/// Reads a regular file of at most `limit` bytes.
///
/// # Errors
/// As [`open`], or the file is larger.
pub fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let file = open(path)?;
    let too_large = |size: String| {
        let text = format!("it is too large: found {size} bytes, the limit is {limit}");
        io::Error::new(io::ErrorKind::FileTooLarge, text)
    };
    let size = file.metadata()?.len();
    if size > limit {
        return Err(too_large(size.to_string()));
    }
    let mut content = Vec::with_capacity(size as usize);
    // Its size may be another one by now; and some file systems say 0 of files that have no end.
    file.take(limit.saturating_add(1)).read_to_end(&mut content)?;
    if content.len() as u64 > limit {
        return Err(too_large(format!("more than {limit}")));
    }
    Ok(content)
}

/// As [`read`], for a text in UTF-8.
///
/// # Errors
/// As [`read`], or it is no such text.
pub fn read_to_string(path: &Path, limit: u64) -> io::Result<String> {
    String::from_utf8(read(path, limit)?).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Runs `work`, which reads files, on a separate thread. The thread may be stuck in a file system that does not answer:
/// nothing but the result waits for it, not even the end of the process.
///
/// # Errors
/// There is no thread for it, or it panicked.
pub(crate) async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    let (done, result) = oneshot::channel();
    thread::Builder::new().name("atoll-read".into()).spawn(move || {
        // Who asked may have stopped waiting.
        let _ = done.send(work());
    })?;
    result.await.map_err(|_| io::Error::other("reading it panicked"))
}

fn check(metadata: &Metadata) -> io::Result<()> {
    let kind = metadata.file_type();
    let found = if kind.is_file() {
        return Ok(());
    } else if kind.is_dir() {
        "a folder"
    } else if kind.is_fifo() {
        "a named pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("expected a regular file, found {found}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_file_at_the_limit_is_read_and_one_above_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "12345").unwrap();
        assert_eq!(read(&file, 5).unwrap(), b"12345");
        let error = read(&file, 4).unwrap_err().to_string();
        assert_eq!(error, "it is too large: found 5 bytes, the limit is 4");
        fs::write(&file, [0xff]).unwrap();
        assert!(read_to_string(&file, 5).is_err());
    }

    #[test]
    fn only_files_are_opened() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).unwrap();
        for (path, found) in [
            (pipe.as_path(), "a named pipe"),
            (folder.path(), "a folder"),
            (Path::new("/dev/zero"), "a device"),
        ] {
            let error = read(path, 5).unwrap_err().to_string();
            assert_eq!(error, format!("expected a regular file, found {found}"));
        }
        assert_eq!(read(&folder.path().join("none"), 5).unwrap_err().kind(), io::ErrorKind::NotFound);
        // It says that it is a file of no bytes.
        let endless = read(Path::new("/proc/self/maps"), 5).unwrap_err();
        assert_eq!(endless.kind(), io::ErrorKind::FileTooLarge, "{endless}");
    }
}
