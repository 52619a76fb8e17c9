//! Files: written whole or not at all, and read within limits; and file descriptors.

pub(crate) mod atomic_file;
pub(crate) mod readiness;
pub(crate) mod real_path;
pub mod regular_file;
pub(crate) mod spare_files;
pub(crate) mod state_folder;
pub(crate) mod unix_socket;
