//! The certificates in use, loaded again when their files change, and renewed.

use std::io;
use std::sync::Arc;

use arc_swap::ArcSwap;
use futures_util::future::{pending, select_all};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::ProducesTickets;

use super::accept::TlsAccept;
use super::acme::challenges::Challenges;
use super::acme::issued::Issued;
use super::acme::keeper::Keeper;
use super::by_name::ByName;
use super::error::TlsError;
use super::files::{CertificateFiles, client_verifier};
use super::settings::TlsSettings;
use super::validity::Validity;
use super::{acme, alpn};
use crate::fs::regular_file::in_background;
use crate::observe::certificates::{CertificateSource, Certificates};
use crate::watch::{FileWatch, Watcher};

/// TLS in use, and what keeps its certificates valid.
#[derive(Debug)]
pub struct Tls {
    files: Files,
    accept: TlsAccept,
    watches: Vec<FileWatch>,
    keeper: Option<Keeper>,
}

/// What is in files, and what else a configuration is made of.
#[derive(Clone, Debug)]
struct Files {
    settings: TlsSettings,
    tickets: Arc<dyn ProducesTickets>,
    issued: Issued,
    known: Certificates,
}

impl Files {
    fn watch(&self, watcher: &Watcher) -> Vec<FileWatch> {
        let pairs = self.settings.certificates.iter().flat_map(|files| [&files.certificate, &files.key]);
        pairs.chain(&self.settings.client_ca).map(|path| watcher.watch_file(path)).collect()
    }

    /// The configuration of a server that speaks TLS 1.2 and 1.3.
    fn load(&self) -> Result<ServerConfig, TlsError> {
        let load = |files: &CertificateFiles| files.load().map(Arc::new);
        let certificates = self.settings.certificates.iter().map(load).collect::<Result<Vec<_>, _>>()?;
        let provider = Arc::new(ring::default_provider());
        let builder =
            ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
        let builder = builder.map_err(TlsError::Unsupported)?;
        let builder = match &self.settings.client_ca {
            None => builder.with_no_client_auth(),
            Some(file) => builder.with_client_cert_verifier(client_verifier(file, provider)?),
        };
        for (files, key) in self.settings.certificates.iter().zip(&certificates) {
            let name = files.certificate.display().to_string();
            self.known.valid(CertificateSource::File, &name, Validity::of(key).map(|validity| validity.end));
        }
        let by_name = ByName { files: certificates, issued: self.issued.clone() };
        let mut config = builder.with_cert_resolver(Arc::new(by_name));
        config.ticketer = self.tickets.clone();
        config.alpn_protocols = [alpn::HTTP2, alpn::HTTP1, alpn::HTTP1_0].map(<[u8]>::to_vec).to_vec();
        Ok(config)
    }
}

impl Tls {
    /// Loads the files, and watches them from what they are now; `known` shows the operator what becomes of the certificates.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub fn load(settings: TlsSettings, watcher: &Watcher, known: Certificates) -> Result<Self, TlsError> {
        if settings.certificates.is_empty() && settings.acme.is_none() {
            return Err(TlsError::Nothing);
        }
        let keeper = settings.acme.clone().map(|acme| Keeper::open(acme, known.clone())).transpose()?;
        let issued = keeper.as_ref().map(|keeper| keeper.issued().clone()).unwrap_or_default();
        let tickets = ring::Ticketer::new().map_err(TlsError::Unsupported)?;
        let files = Files { settings, tickets, issued, known };
        // Watched before they are read: a change in between is not lost.
        let watches = files.watch(watcher);
        let current = Arc::new(ArcSwap::from_pointee(files.load()?));
        let validation =
            keeper.as_ref().map(|keeper| acme::validation::config(keeper.challenges())).transpose();
        let accept = TlsAccept { current, validation: validation.map_err(TlsError::Unsupported)? };
        Ok(Self { files, accept, watches, keeper })
    }

    /// How connections begin.
    pub(crate) fn accept(&self) -> TlsAccept {
        self.accept.clone()
    }

    /// What certificate authorities ask for to validate a name, if certificates come by ACME.
    pub(crate) fn challenges(&self) -> Option<Challenges> {
        self.keeper.as_ref().map(|keeper| keeper.challenges().clone())
    }

    /// Loads the files again when they change, and obtains and renews certificates by ACME, as long as it is polled. Unusable
    /// files are logged and ignored; open connections are not affected. `over_http`: the [challenges](Self::challenges) are
    /// answered over HTTP, too.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub(crate) async fn follow(self, over_http: bool) {
        let Self { files, accept, watches, keeper } = self;
        let keep = async {
            if let Some(keeper) = keeper {
                keeper.run(over_http).await;
            }
        };
        tokio::join!(follow_files(files, accept, watches), keep);
    }
}

async fn follow_files(files: Files, accept: TlsAccept, mut watches: Vec<FileWatch>) {
    if watches.is_empty() {
        return pending().await;
    }
    loop {
        select_all(watches.iter_mut().map(|watch| Box::pin(watch.changed()))).await;
        let again = files.clone();
        let loaded: io::Result<_> = in_background(move || again.load()).await;
        match loaded {
            Ok(Ok(new)) => {
                accept.current.store(Arc::new(new));
                let names = files.settings.certificates.iter().map(|files| files.certificate.display());
                let names: Vec<_> = names.map(|name| name.to_string()).collect();
                log::info!("reloaded the certificate {}", names.join(", "));
            }
            // One of the two files is replaced before the other.
            Ok(Err(error)) => log::warn!("keeping the current certificate: {error}"),
            Err(error) => log::warn!("keeping the current certificate: cannot read it: {error}"),
        }
    }
}
