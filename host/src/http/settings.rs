//! What all requests are answered from.

use super::mount::Mount;
use super::server_limits::ServerLimits;
use super::trusted_proxies::TrustedProxies;

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
}
