//! The Unix socket of a host, by which its user's commands find it.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

/// A socket that is listened on.
#[derive(Debug)]
pub(super) struct Socket {
    listener: UnixListener,
    file: File,
}

/// The socket's file, removed when this is dropped.
#[derive(Debug)]
pub(super) struct File(PathBuf);

/// Where the host of a registry file listens.
pub(super) fn path(folder: &Path, config: &Path) -> PathBuf {
    file_of(folder, config, "sock")
}

/// A file of the host of a registry file, of this kind.
pub(crate) fn file_of(folder: &Path, config: &Path, kind: &str) -> PathBuf {
    let config = std::path::absolute(config).unwrap_or_else(|_| config.to_owned());
    let config = config.canonicalize().unwrap_or(config);
    let hash = blake3::hash(config.as_os_str().as_encoded_bytes()).to_hex();
    folder.join(format!("host-{}.{kind}", &hash[..16]))
}

impl Socket {
    /// Listens for the host that serves the registry file `config`.
    ///
    /// # Errors
    /// The socket cannot be made.
    pub(super) fn bind(folder: &Path, config: &Path) -> io::Result<Self> {
        let path = path(folder, config);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        let file = File(path);
        std::fs::set_permissions(&file.0, std::fs::Permissions::from_mode(0o600))?;
        Ok(Self { listener, file })
    }

    pub(super) fn into_parts(self) -> (UnixListener, File) {
        (self.listener, self.file)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // It may have been removed by hand; a new host removes what is left over.
        let _ = std::fs::remove_file(&self.0);
    }
}
