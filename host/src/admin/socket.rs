//! The Unix socket of a host, by which its user's commands find it.

use std::fs::DirBuilder;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use crate::fs::unix_socket::{SocketFile, is_listened_on};

/// The socket's name in the folder of a host.
const NAME: &str = "host.sock";

/// A socket that is listened on.
#[derive(Debug)]
pub(super) struct Socket {
    listener: UnixListener,
    file: SocketFile,
}

/// Where the host of a registry file listens.
pub(super) fn path(common: &Path, config: &Path) -> PathBuf {
    folder_of(common, config).join(NAME)
}

/// The folder of the host of a registry file, in the one that hosts share.
pub(crate) fn folder_of(common: &Path, config: &Path) -> PathBuf {
    common.join(format!("host-{}", key_of(config)))
}

/// What tells the host of a registry file from others, in the names of its folders.
pub(crate) fn key_of(config: &Path) -> String {
    let config = std::path::absolute(config).unwrap_or_else(|_| config.to_owned());
    let config = config.canonicalize().unwrap_or(config);
    let hash = blake3::hash(config.as_os_str().as_encoded_bytes()).to_hex();
    hash[..16].to_owned()
}

/// Whether somebody listens on the socket in the folder of a host.
pub(crate) fn is_answered(folder: &Path) -> bool {
    is_listened_on(&folder.join(NAME))
}

impl Socket {
    /// Listens for the host that serves the registry file `config`.
    ///
    /// # Errors
    /// The socket cannot be made, or another host listens there.
    pub(super) fn bind(common: &Path, config: &Path) -> io::Result<Self> {
        let path = path(common, config);
        if let Some(folder) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let shown = path.display().to_string();
        let (listener, file) = SocketFile::bind(path, 0o600).map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => {
                io::Error::new(error.kind(), format!("another host is listening on {shown}"))
            }
            _ => error,
        })?;
        Ok(Self { listener, file })
    }

    /// One that another host listens on, for the time when this one replaces it.
    pub(super) fn adopt(listener: UnixListener, file: SocketFile) -> Self {
        Self { listener, file }
    }

    /// Another descriptor of it, and its file.
    pub(super) fn share(&self) -> io::Result<(OwnedFd, &SocketFile)> {
        Ok((self.listener.as_fd().try_clone_to_owned()?, &self.file))
    }

    pub(super) fn into_parts(self) -> (UnixListener, SocketFile) {
        (self.listener, self.file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_of_a_living_host_is_neither_taken_nor_removed() {
        let common = tempfile::tempdir().unwrap();
        let config = common.path().join("apps.json");
        let first = Socket::bind(common.path(), &config).unwrap();
        assert_eq!(Socket::bind(common.path(), &config).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        // Removed by hand, and made anew by another host.
        let path = path(common.path(), &config);
        std::fs::remove_file(&path).unwrap();
        let second = Socket::bind(common.path(), &config).unwrap();
        drop(first);
        assert!(is_answered(path.parent().unwrap()));
        drop(second);
        assert!(!path.exists());
    }

    #[test]
    fn what_a_dead_host_left_is_replaced() {
        let common = tempfile::tempdir().unwrap();
        let config = common.path().join("apps.json");
        let (listener, file) = Socket::bind(common.path(), &config).unwrap().into_parts();
        drop(listener);
        assert!(Socket::bind(common.path(), &config).is_ok());
        drop(file);
    }
}
