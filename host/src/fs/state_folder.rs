//! Where a host keeps what belongs to one registry file, in the folder for all that hosts keep.

use std::path::{Path, PathBuf};

/// The folder for `what` of the host of the registry file `config`, in the folder `state`. It depends on the path as it is
/// written: a link that leads to another file tomorrow is the same registry.
pub(crate) fn state_folder(state: &Path, what: &str, config: &Path) -> PathBuf {
    let config = std::path::absolute(config).unwrap_or_else(|_| config.to_owned());
    let hash = blake3::hash(config.as_os_str().as_encoded_bytes()).to_hex();
    state.join(format!("{what}-{}", &hash[..16]))
}
