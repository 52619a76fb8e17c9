//! Who may choose the version of an app, for requests to the apps.

use super::admin_token::AdminToken;
use super::tokens::{Permission, Tokens};
use crate::http::DeployTokens;
use crate::observe::unix_time::now_ms;

/// The tokens of the admin API, for requests to the apps.
#[derive(Clone, Debug)]
pub(super) struct DeployAccess {
    pub(super) token: Option<AdminToken>,
    pub(super) tokens: Tokens,
}

impl DeployTokens for DeployAccess {
    fn may_deploy(&self, app: &str, token: &str) -> bool {
        if self.token.as_ref().is_some_and(|admin| admin.is(token)) {
            return true;
        }
        let found = self.tokens.find(token).unwrap_or_else(|error| {
            // In doubt, no token is good.
            log::error!("{error}");
            None
        });
        found.is_some_and(|found| !found.is_expired(now_ms()) && found.allows(Permission::Deploy, Some(app)))
    }
}
