//! What all requests are answered from.

use std::sync::Arc;

use super::connection::Shutdown;
use super::deploy_tokens::DeployTokens;
use super::mount::Mount;
use super::server_limits::ServerLimits;
use super::trusted_proxies::TrustedProxies;
use crate::tls::acme::challenges::Challenges;

/// What all requests are answered from.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// Where they go.
    pub mount: Mount,
    /// Who may say in whose place it asks.
    pub trusted: TrustedProxies,
    /// Whether each request is a line in the log.
    pub access_log: bool,
    /// What clients may take.
    pub limits: ServerLimits,
    /// Requests are redirected to HTTPS on this port.
    pub(crate) redirect_to: Option<u16>,
    /// What certificate authorities ask for, where requests are redirected.
    pub(crate) challenges: Challenges,
    /// Who may choose the version of an app, besides clients in trusted networks.
    pub(crate) deploy_tokens: Option<Arc<dyn DeployTokens>>,
    /// Whether it is about to end.
    pub(crate) shutdown: Shutdown,
}

impl HttpSettings {
    /// With the defaults of a server.
    pub fn new(mount: Mount) -> Self {
        Self {
            mount,
            trusted: TrustedProxies::default(),
            access_log: false,
            limits: ServerLimits::DEFAULT,
            redirect_to: None,
            challenges: Challenges::default(),
            deploy_tokens: None,
            shutdown: Shutdown::default(),
        }
    }
}
