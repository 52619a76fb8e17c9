//! What a restart must not lose: the account, and the certificates with their keys, in files that only this user can open.

use std::fs::DirBuilder;
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use instant_acme::AccountCredentials;
use rustix::fs::{Access, access};
use rustls::sign::CertifiedKey;
use serde::{Deserialize, Serialize};

use super::certificate::Certificate;
use super::directory::AcmeDirectory;
use super::error::AcmeError;
use crate::fs::atomic_file;
use crate::fs::regular_file::{self, SMALL_FILE_LIMIT};

/// What is in the folder of hosts.
const FOLDER: &str = "acme";

const ACCOUNT: &str = "account.json";

/// Who may read and write a file: this user.
const MODE: u32 = 0o600;

/// An account at a certificate authority, with its key.
#[derive(Deserialize, Serialize)]
pub(super) struct StoredAccount {
    /// As the authority has them.
    pub(super) contacts: Vec<String>,
    pub(super) credentials: AccountCredentials,
}

/// The folder for what belongs to a certificate authority.
#[derive(Clone, Debug)]
pub(super) struct Store {
    folder: PathBuf,
}

impl Store {
    /// The one in the folder of hosts, which is made if need be.
    pub(super) fn open(hosts: &Path, directory: &AcmeDirectory) -> Result<Self, AcmeError> {
        let folder = hosts.join(FOLDER).join(directory.folder_name());
        let failed = |reason| AcmeError::Folder { path: folder.clone(), reason };
        DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(failed)?;
        // Found now, and not when the first certificate was issued.
        access(&folder, Access::WRITE_OK).map_err(|error| failed(error.into()))?;
        Ok(Self { folder })
    }

    /// The account, if there is one.
    ///
    /// # Errors
    /// The file cannot be read, or is damaged.
    pub(super) fn account(&self) -> io::Result<Option<StoredAccount>> {
        let path = self.folder.join(ACCOUNT);
        let text = match regular_file::read(&path, SMALL_FILE_LIMIT) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text?,
        };
        let damaged = |reason| {
            let text =
                format!("{} is damaged: {reason}; remove it to register a new account", path.display());
            io::Error::new(io::ErrorKind::InvalidData, text)
        };
        serde_json::from_slice(&text).map(Some).map_err(damaged)
    }

    pub(super) fn save_account(&self, account: &StoredAccount) -> io::Result<()> {
        self.write(ACCOUNT, &serde_json::to_vec_pretty(account)?)
    }

    /// The certificate for a domain. `None`: there is none, or one that is damaged, which is logged.
    pub(super) fn certificate(&self, domain: &str) -> Option<Arc<CertifiedKey>> {
        let path = self.certificate_file(domain);
        let read = match regular_file::read(&path, SMALL_FILE_LIMIT) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            read => read.map_err(|error| error.to_string()),
        };
        match read.and_then(Certificate::parse) {
            Ok(certificate) => Some(certificate.key),
            Err(reason) => {
                let path = path.display();
                log::warn!("ordering a new certificate for {domain}: {path} cannot be used: {reason}");
                None
            }
        }
    }

    /// Keeps a certificate with its key, both in one file, which is replaced in one step.
    pub(super) fn save_certificate(&self, domain: &str, pem: &[u8]) -> io::Result<()> {
        self.write(&file_name(domain), pem)
    }

    fn certificate_file(&self, domain: &str) -> PathBuf {
        self.folder.join(file_name(domain))
    }

    fn write(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let path = self.folder.join(name);
        atomic_file::write_to_disk(&path, MODE, |file| file.write_all(content))
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
    }
}

/// A domain has no slash, and is none of the names `.` and `..`.
fn file_name(domain: &str) -> String {
    format!("{domain}.pem")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn only_this_user_can_open_what_is_kept() {
        let hosts = tempfile::tempdir().unwrap();
        let store = Store::open(&hosts.path().join("new"), &AcmeDirectory::default()).unwrap();
        assert_eq!(mode(&store.folder), 0o700);
        assert_eq!(mode(store.folder.parent().unwrap()), 0o700);
        assert!(store.certificate("a.example").is_none() && store.account().unwrap().is_none());

        let pair = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
        let pem = pair.cert.pem() + &pair.signing_key.serialize_pem();
        store.save_certificate("a.example", pem.as_bytes()).unwrap();
        assert_eq!(mode(&store.certificate_file("a.example")), 0o600);
        assert_eq!(store.certificate("a.example").unwrap().cert[0], *pair.cert.der());
    }

    #[test]
    fn what_is_damaged_is_not_used() {
        let hosts = tempfile::tempdir().unwrap();
        let store = Store::open(hosts.path(), &AcmeDirectory::default()).unwrap();
        let (one, other) = ["a.example", "a.example"]
            .map(|name| rcgen::generate_simple_self_signed([name.to_owned()]).unwrap())
            .into();
        let pem = one.cert.pem() + &other.signing_key.serialize_pem();
        store.save_certificate("a.example", pem.as_bytes()).unwrap();
        assert!(store.certificate("a.example").is_none());
        fs::write(store.folder.join(ACCOUNT), "{").unwrap();
        let error = store.account().err().unwrap().to_string();
        assert!(error.contains("account.json is damaged") && error.contains("remove it"), "{error}");
    }

    #[test]
    fn a_folder_that_cannot_be_used_is_named() {
        let hosts = tempfile::tempdir().unwrap();
        fs::write(hosts.path().join(FOLDER), "").unwrap();
        let error = Store::open(hosts.path(), &AcmeDirectory::default()).unwrap_err().to_string();
        assert!(error.contains("/acme/") && error.contains("--state-dir"), "{error}");
    }
}
