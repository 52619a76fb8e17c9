//! What all requests are answered from.

use super::forwarded::TrustedProxies;
use super::mount::Mount;

/// What all requests are answered from.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// Where they go.
    pub mount: Mount,
    /// Who may say in whose place it asks.
    pub trusted: TrustedProxies,
    /// Whether each request is a line in the log.
    pub access_log: bool,
}
