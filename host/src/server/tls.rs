//! TLS: the server's certificate, reloaded when its files change.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::fs::regular_file::{self, SMALL_FILE_LIMIT, in_background};
use crate::http::connection::{ALPN_HTTP1, ALPN_HTTP1_0, ALPN_HTTP2};
use crate::watch::{FileWatch, Watcher};

/// Why a certificate and its key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is missing, or cannot be read.
    #[error("cannot read the {what} {}: {reason}", path.display())]
    Unreadable {
        /// Certificate or key.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: io::Error,
    },
    /// A file has none of what it should hold.
    #[error("{} contains no usable {what} in PEM format{hint}", path.display())]
    Empty {
        /// Certificate or key.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What may be the reason.
        hint: &'static str,
    },
    /// A file is not in PEM format.
    #[error("the {what} {} is not in PEM format: {reason}", path.display())]
    Malformed {
        /// Certificate or key.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: pem::Error,
    },
    /// The key is another certificate's.
    #[error("the key {} does not match the certificate {}", key.display(), certificate.display())]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// The certificate or the key is of a kind that is not supported, or damaged.
    #[error("cannot use the certificate {} with the key {}: {reason}", certificate.display(), key.display())]
    Unusable {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What is wrong with them.
        reason: rustls::Error,
    },
}

/// Where a certificate is: its chain, the server's own first, and its private key, both in PEM format.
#[derive(Clone, Debug)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

impl Files {
    fn load(&self) -> Result<CertifiedKey, TlsError> {
        let read = |path| regular_file::read(path, SMALL_FILE_LIMIT).map_err(pem::Error::Io);
        let chain = read(&self.certificate)
            .and_then(|text| CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>());
        let chain = chain.map_err(|error| unreadable("certificate", &self.certificate, error, ""))?;
        if chain.is_empty() {
            return Err(unreadable("certificate", &self.certificate, pem::Error::NoItemsFound, ""));
        }
        let key = read(&self.key).and_then(|text| PrivateKeyDer::from_pem_slice(&text)).map_err(|error| {
            unreadable("private key", &self.key, error, " (a key with a passphrase is not supported)")
        })?;
        let Self { certificate, key: key_file } = self.clone();
        CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(|reason| match reason {
            rustls::Error::InconsistentKeys(_) => TlsError::Mismatch { certificate, key: key_file },
            reason => TlsError::Unusable { certificate, key: key_file, reason },
        })
    }
}

fn unreadable(what: &'static str, path: &Path, error: pem::Error, hint: &'static str) -> TlsError {
    let path = path.to_owned();
    match error {
        pem::Error::Io(reason) => TlsError::Unreadable { what, path, reason },
        pem::Error::NoItemsFound => TlsError::Empty { what, path, hint },
        reason => TlsError::Malformed { what, path, reason },
    }
}

/// The certificate that new connections get.
#[derive(Debug)]
struct Current(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

/// A certificate in use, and the watches on its files.
#[derive(Debug)]
pub struct Tls {
    files: Files,
    current: Arc<Current>,
    certificate_watch: FileWatch,
    key_watch: FileWatch,
}

impl Tls {
    /// Loads a certificate and its key, and watches their files from what they are now.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub fn load(certificate: &Path, key: &Path, watcher: &Watcher) -> Result<Self, TlsError> {
        let files = Files { certificate: certificate.to_owned(), key: key.to_owned() };
        // Watched before they are read: a change in between is not lost.
        let (certificate_watch, key_watch) = (watcher.watch_file(certificate), watcher.watch_file(key));
        let current = Arc::new(Current(ArcSwap::from_pointee(files.load()?)));
        Ok(Self { files, current, certificate_watch, key_watch })
    }

    /// For a server that speaks TLS 1.2 and 1.3, with the certificate as it is at each connection.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub(crate) fn config(&self) -> Result<ServerConfig, rustls::Error> {
        let provider = Arc::new(ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(self.current.clone());
        config.ticketer = ring::Ticketer::new()?;
        config.alpn_protocols = [ALPN_HTTP2, ALPN_HTTP1, ALPN_HTTP1_0].map(<[u8]>::to_vec).to_vec();
        Ok(config)
    }

    /// Reloads the files when they change, as long as it is polled. Unusable files are logged and ignored; open
    /// connections are not affected.
    pub async fn follow(mut self) {
        loop {
            tokio::select! {
                _ = self.certificate_watch.changed() => {}
                _ = self.key_watch.changed() => {}
            }
            let files = self.files.clone();
            let loaded = in_background(move || files.load()).await.unwrap_or_else(|reason| {
                Err(TlsError::Unreadable {
                    what: "certificate",
                    path: self.files.certificate.clone(),
                    reason,
                })
            });
            match loaded {
                Ok(new) => {
                    self.current.0.store(Arc::new(new));
                    log::info!("reloaded the certificate {}", self.files.certificate.display());
                }
                // One of the two files is replaced before the other.
                Err(error) => log::warn!("keeping the current certificate: {error}"),
            }
        }
    }
}
