//! Versions of apps in the admin API: uploads, promotion and going back.

pub(super) mod api;
mod deployer;
mod model;
mod problem;
mod promotion;
mod traffic;
mod traffic_model;

pub(super) use self::deployer::Deployer;
pub use self::model::{NewAppVersion, PushedVersion, VersionState, VersionStatus};
pub use self::traffic_model::{NewTraffic, NewVersionTraffic, TrafficStatus, VersionTraffic};
