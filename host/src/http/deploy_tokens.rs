//! Who may choose the version of an app for a request.

use std::fmt::Debug;

/// Knows the tokens of the admin API.
pub(crate) trait DeployTokens: Debug + Send + Sync {
    /// Whether the holder of a token may deploy an app.
    fn may_deploy(&self, app: &str, token: &str) -> bool;
}
