//! An app's library: found, staged, inspected, checked, loaded, unloaded.

pub mod check;
pub(crate) mod checksum;
pub(crate) mod content_hash;
pub(crate) mod inspect;
pub mod loaded;
pub(crate) mod loader;
pub(crate) mod needed;
pub(crate) mod open_paths;
pub(crate) mod own_thread;
pub(crate) mod preflight;
pub(crate) mod resource_fault;
pub(crate) mod seal;
pub(crate) mod source;
pub(crate) mod stage;
