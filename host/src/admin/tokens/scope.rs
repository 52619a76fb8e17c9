//! What a token allows.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::config::AppPattern;

/// What a token allows its holder to do with the apps of its scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Permission {
    /// See their state, settings, versions and logs. The other permissions include it.
    Read,
    /// Start, stop, reload, enable and disable them, set their log level and send them requests.
    Operate,
    /// Upload, promote and roll back versions of them.
    Deploy,
}

/// A text is no permission.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid permission {0:?}: expected read, operate or deploy")]
pub struct NoPermission(String);

impl FromStr for Permission {
    type Err = NoPermission;

    fn from_str(text: &str) -> Result<Self, NoPermission> {
        match text {
            "read" => Ok(Self::Read),
            "operate" => Ok(Self::Operate),
            "deploy" => Ok(Self::Deploy),
            _ => Err(NoPermission(text.to_owned())),
        }
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Operate => "operate",
            Self::Deploy => "deploy",
        })
    }
}

/// A token, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Token {
    /// Its name.
    pub name: String,
    /// The apps of its scope.
    pub apps: Vec<AppPattern>,
    /// What it allows.
    pub permissions: BTreeSet<Permission>,
    /// When it was created, in milliseconds since 1970.
    pub created_ms: u64,
    /// When it expires, in milliseconds since 1970; `null`: never.
    pub expires_ms: Option<u64>,
}

impl Token {
    /// Whether it has expired at a time in milliseconds since 1970.
    pub fn is_expired(&self, now_ms: u64) -> bool {
        self.expires_ms.is_some_and(|end| end <= now_ms)
    }

    /// Whether it allows this for an app, or, without an app, for the host with all its apps.
    pub(in crate::admin) fn allows(&self, permission: Permission, app: Option<&str>) -> bool {
        let covers = |pattern: &AppPattern| app.map_or(pattern.is_all(), |app| pattern.matches(app));
        let has = permission == Permission::Read || self.permissions.contains(&permission);
        has && self.apps.iter().any(covers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(apps: &[&str], permissions: &[Permission]) -> Token {
        Token {
            name: "t".into(),
            apps: apps.iter().map(|app| app.parse().unwrap()).collect(),
            permissions: permissions.iter().copied().collect(),
            created_ms: 0,
            expires_ms: Some(10),
        }
    }

    #[test]
    fn a_token_allows_what_it_names_for_the_apps_it_names() {
        let deploy = token(&["acme-*", "shop"], &[Permission::Deploy]);
        for app in ["acme-a", "shop"] {
            assert!(
                deploy.allows(Permission::Deploy, Some(app)) && deploy.allows(Permission::Read, Some(app))
            );
            assert!(!deploy.allows(Permission::Operate, Some(app)));
        }
        assert!(!deploy.allows(Permission::Read, Some("other")));
        assert!(!deploy.allows(Permission::Read, None), "the host shows other apps, too");
        let all = token(&["*"], &[Permission::Read]);
        assert!(all.allows(Permission::Read, None) && all.allows(Permission::Read, Some("any")));
        assert!(!all.allows(Permission::Deploy, Some("any")));
        assert!(deploy.is_expired(10) && !deploy.is_expired(9));
    }
}
