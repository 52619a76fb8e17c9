//! Versions of apps in the admin API: uploads, promotion and going back.

pub(super) mod api;
mod deployer;
#[cfg(feature = "fleet")]
mod fleet;
mod model;
mod problem;
mod promotion;
mod refusal;
mod resume;
mod rollout;
mod traffic;
mod warm;

pub(super) use self::deployer::Deployer;
#[cfg(feature = "fleet")]
pub(super) use self::fleet::KnownVersions;
pub use self::model::{NewAppVersion, Promoted, PushedVersion, VersionState, VersionStatus};
