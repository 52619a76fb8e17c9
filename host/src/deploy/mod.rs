//! The folder that a host serves, and the versions of its apps.
//!
//! `atoll build` writes the folder as a whole; the admin API replaces one app in it at a time.

mod error;
mod files;
mod folder;
mod served;
mod versions;

pub use self::error::DeployError;
pub use self::files::Outcome;
pub use self::folder::{Deployment, Writing};
pub(crate) use self::served::{Installation, Installed, ServedFolder};
pub(crate) use self::versions::{
    Admission, Index, MAX_BESIDE, NewVersion, Rollout, RolloutEnd, Share, UPLOAD_KEPT, UPLOAD_PIECE,
    UploadStatus, VersionError, Versions, WantedShare,
};
pub use self::versions::{MAX_NOTE, SharedLibrary, Version};
