//! Unix sockets: the file of one that is listened on.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

/// The file of a Unix socket, removed when this is dropped, unless another process has put its own there.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    id: FileId,
    is_own: bool,
}

/// The device and the inode of a file.
type FileId = (u64, u64);

impl SocketFile {
    /// Listens on a socket with this path and these permissions, which it has before anyone can find it.
    pub(crate) fn bind(path: PathBuf, mode: u32) -> io::Result<(UnixListener, Self)> {
        if let Ok(there) = std::fs::symlink_metadata(&path) {
            if !there.file_type().is_socket() {
                let reason = format!("{} exists and is no socket", path.display());
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, reason));
            }
            if is_listened_on(&path) {
                return Err(io::ErrorKind::AddrInUse.into());
            }
        }
        // Short, as the system takes only short paths.
        let made = path.with_file_name(format!(".{}", std::process::id()));
        let listener = UnixListener::bind(&made)?;
        let set_up = || {
            std::fs::set_permissions(&made, Permissions::from_mode(mode))?;
            let id = id(&made)?;
            std::fs::rename(&made, &path)?;
            Ok(id)
        };
        match set_up() {
            Ok(id) => Ok((listener, Self { path, id, is_own: true })),
            Err(error) => {
                // The error is what counts.
                let _ = std::fs::remove_file(&made);
                Err(error)
            }
        }
    }

    /// The file of a socket that another process has made, which stays that process's until it is [claimed](Self::claim).
    /// `None`: it is gone, or another one is there.
    pub(crate) fn adopt(path: PathBuf, made: FileId) -> Option<Self> {
        id(&path).is_ok_and(|id| id == made).then_some(Self { path, id: made, is_own: false })
    }

    /// Makes this process remove it.
    pub(crate) fn claim(&mut self) {
        self.is_own = true;
    }

    /// Leaves it to another process.
    pub(crate) fn leave(&mut self) {
        self.is_own = false;
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Its device and inode.
    pub(crate) fn id(&self) -> FileId {
        self.id
    }
}

/// Listens on a socket that listens already: from then on, this process is the one that its clients see (`SO_PEERCRED`).
pub(crate) fn listen_again(listener: &UnixListener) -> io::Result<()> {
    /// As the standard library; the system's limit may be less.
    const BACKLOG: i32 = 4096;
    Ok(rustix::net::listen(listener, BACKLOG)?)
}

/// Whether a process listens on the socket at this path. Does not wait, as that may be busy.
pub(crate) fn is_listened_on(path: &Path) -> bool {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let connected = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
        .and_then(|socket| connect(&socket, &SocketAddrUnix::new(path)?));
    // Too many wait already.
    matches!(connected, Ok(()) | Err(Errno::AGAIN))
}

fn id(path: &Path) -> io::Result<FileId> {
    std::fs::symlink_metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.is_own && id(&self.path).is_ok_and(|id| id == self.id) {
            // The next host replaces what is left.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_socket_has_its_permissions_and_goes_with_its_listener() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("http.sock");
        let (listener, file) = SocketFile::bind(path.clone(), 0o640).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        UnixStream::connect(&path).unwrap();
        let taken = SocketFile::bind(path.clone(), 0o600).unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
        drop((listener, file));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_file_that_is_left_to_another_process_is_removed_by_that_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("http.sock");
        let (_listener, mut old) = SocketFile::bind(path.clone(), 0o600).unwrap();
        drop(SocketFile::adopt(path.clone(), old.id()).unwrap());
        assert!(path.exists(), "it is not claimed");
        let mut new = SocketFile::adopt(path.clone(), old.id()).unwrap();
        new.claim();
        old.leave();
        let (device, inode) = old.id();
        drop(old);
        assert!(path.exists());
        assert!(SocketFile::adopt(path.clone(), (device, inode + 1)).is_none());
        drop(new);
        assert!(!path.exists());
    }

    #[test]
    fn what_a_dead_process_left_is_replaced_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("http.sock");
        let (listener, old) = SocketFile::bind(path.clone(), 0o600).unwrap();
        drop(listener);
        let (_listener, _file) = SocketFile::bind(path.clone(), 0o600).unwrap();
        drop(old);
        UnixStream::connect(&path).unwrap();
        let text = folder.path().join("text");
        std::fs::write(&text, "mine").unwrap();
        let refused = SocketFile::bind(text.clone(), 0o600).unwrap_err();
        assert!(refused.to_string().ends_with("text exists and is no socket"), "{refused}");
        assert_eq!(std::fs::read_to_string(text).unwrap(), "mine");
    }
}
