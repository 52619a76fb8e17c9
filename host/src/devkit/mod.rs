//! What developers run: builds by cargo, deploy folders, new crates.

pub mod build;
pub mod deploy;
pub mod scaffold;
