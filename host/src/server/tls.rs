//! TLS: the server's certificates, reloaded when their files change.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use futures_util::future::select_all;
use rustls::client::verify_server_name;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{
    ClientHello, ParsedCertificate, ProducesTickets, ResolvesServerCert, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};

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
    /// The certificates of the authorities that issue those of clients cannot be used.
    #[error("cannot use the client CA {}: {reason}", path.display())]
    ClientCa {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The system gives no random numbers.
    #[error("cannot set up TLS: {0}")]
    Unsupported(rustls::Error),
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

/// The files of a server's TLS.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// Certificate chains with their private keys. A client gets the first one that is valid for the name that it asks for,
    /// or else the first of all.
    pub certificates: Vec<(PathBuf, PathBuf)>,
    /// The certificates of the authorities that issue those of clients: a client needs one, if there are some.
    pub client_ca: Option<PathBuf>,
}

impl TlsFiles {
    fn watch(&self, watcher: &Watcher) -> Vec<FileWatch> {
        let pairs = self.certificates.iter().flat_map(|(certificate, key)| [certificate, key]);
        pairs.chain(&self.client_ca).map(|path| watcher.watch_file(path)).collect()
    }

    /// The configuration of a server that speaks TLS 1.2 and 1.3.
    fn load(&self, tickets: &Arc<dyn ProducesTickets>) -> Result<ServerConfig, TlsError> {
        let load = |(certificate, key): &(PathBuf, PathBuf)| {
            let files = Files { certificate: certificate.clone(), key: key.clone() };
            files.load().map(Arc::new)
        };
        let certificates = self.certificates.iter().map(load).collect::<Result<_, _>>()?;
        let provider = Arc::new(ring::default_provider());
        let builder =
            ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
        let builder = builder.map_err(TlsError::Unsupported)?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(file) => builder.with_client_cert_verifier(verifier(file, provider)?),
        };
        let mut config = builder.with_cert_resolver(Arc::new(ByName(certificates)));
        config.ticketer = tickets.clone();
        config.alpn_protocols = [ALPN_HTTP2, ALPN_HTTP1, ALPN_HTTP1_0].map(<[u8]>::to_vec).to_vec();
        Ok(config)
    }
}

/// What decides whether a client's certificate was issued by one of the authorities in a file.
fn verifier(file: &Path, provider: Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    const WHAT: &str = "client CA";
    let text = regular_file::read(file, SMALL_FILE_LIMIT).map_err(pem::Error::Io);
    let authorities =
        text.and_then(|text| CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>());
    let authorities = authorities.map_err(|error| unreadable(WHAT, file, error, ""))?;
    if authorities.is_empty() {
        return Err(unreadable(WHAT, file, pem::Error::NoItemsFound, ""));
    }
    let mut roots = RootCertStore::empty();
    let path = file.to_owned();
    for authority in authorities {
        roots
            .add(authority)
            .map_err(|reason| TlsError::ClientCa { path: path.clone(), reason: reason.to_string() })?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
    verifier.map_err(|reason| TlsError::ClientCa { path, reason: reason.to_string() })
}

/// Chooses a certificate by the name that a client asks for.
#[derive(Debug)]
struct ByName(Vec<Arc<CertifiedKey>>);

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().and_then(|name| ServerName::try_from(name).ok());
        let of_name = name.and_then(|name| self.0.iter().find(|key| is_for(key, &name)));
        of_name.or(self.0.first()).cloned()
    }
}

fn is_for(key: &CertifiedKey, name: &ServerName<'_>) -> bool {
    let certificate = key.end_entity_cert().and_then(ParsedCertificate::try_from);
    certificate.is_ok_and(|certificate| verify_server_name(&certificate, name).is_ok())
}

/// TLS in use, and the watches on its files.
#[derive(Debug)]
pub struct Tls {
    files: TlsFiles,
    current: Arc<ArcSwap<ServerConfig>>,
    tickets: Arc<dyn ProducesTickets>,
    watches: Vec<FileWatch>,
}

impl Tls {
    /// Loads the files, and watches them from what they are now.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub fn load(files: TlsFiles, watcher: &Watcher) -> Result<Self, TlsError> {
        // Watched before they are read: a change in between is not lost.
        let watches = files.watch(watcher);
        let tickets = ring::Ticketer::new().map_err(TlsError::Unsupported)?;
        let current = Arc::new(ArcSwap::from_pointee(files.load(&tickets)?));
        Ok(Self { files, current, tickets, watches })
    }

    /// The configuration, as it is at each connection.
    pub(crate) fn config(&self) -> Arc<ArcSwap<ServerConfig>> {
        self.current.clone()
    }

    /// Reloads the files when they change, as long as it is polled. Unusable files are logged and ignored; open
    /// connections are not affected.
    pub async fn follow(mut self) {
        loop {
            select_all(self.watches.iter_mut().map(|watch| Box::pin(watch.changed()))).await;
            let (files, tickets) = (self.files.clone(), self.tickets.clone());
            match in_background(move || files.load(&tickets)).await {
                Ok(Ok(new)) => {
                    self.current.store(Arc::new(new));
                    let names = self.files.certificates.iter().map(|(file, _)| file.display().to_string());
                    log::info!("reloaded the certificate {}", names.collect::<Vec<_>>().join(", "));
                }
                // One of the two files is replaced before the other.
                Ok(Err(error)) => log::warn!("keeping the current certificate: {error}"),
                Err(error) => log::warn!("keeping the current certificate: cannot read it: {error}"),
            }
        }
    }
}
