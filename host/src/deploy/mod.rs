//! The folder that a host serves.

mod folder;

pub use self::folder::{DeployError, Deployment, Outcome, Writing};
