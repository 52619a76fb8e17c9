//! Versions of apps in the admin API: uploads, promotion and going back.

pub(super) mod api;
mod deployer;
mod model;
mod problem;
mod promotion;
mod rollout;
mod traffic;

pub(super) use self::deployer::Deployer;
pub use self::model::{NewAppVersion, Promoted, PushedVersion, VersionState, VersionStatus};
