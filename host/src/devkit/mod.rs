//! What developers run: builds by cargo, new crates.

pub mod build;
pub mod scaffold;
