//! The versions of apps, which the host keeps in its state folder.
//!
//! A version is a library, with the shared libraries that it needs, and the app's entry in `apps.json`. The files are kept by
//! the hash of their content, one folder for each app.

mod admission;
mod error;
mod index;
mod limits;
mod rollout;
mod storage;
mod store;
mod traffic;
mod unpacked;
mod uploads;
mod version;

pub(crate) use self::admission::{Admission, NewVersion};
pub(crate) use self::error::VersionError;
pub(crate) use self::index::Index;
pub use self::limits::MAX_NOTE;
pub(crate) use self::limits::{MAX_BESIDE, UPLOAD_KEPT, UPLOAD_PIECE};
pub(crate) use self::rollout::{Rollout, RolloutEnd};
pub(crate) use self::store::Versions;
pub(crate) use self::traffic::{Share, WantedShare};
pub(crate) use self::uploads::UploadStatus;
pub use self::version::{SharedLibrary, Version};
