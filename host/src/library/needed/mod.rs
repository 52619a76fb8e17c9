//! Shared libraries that lie beside an app's library, as those of a vendor or of a build script do.
//!
//! What is loaded is a copy in another folder, from which neither `$ORIGIN` nor the library's own folder leads to them. So
//! they are found from where the library came from, and copied too. The dynamic loader tells libraries apart by their
//! names alone: of two different `libfoo.so` it would take the first for both apps, or for both generations. So each copy
//! has a name that follows from its content, by which the copies of those that need it refer to it.

mod bundle;
mod cargo_folders;
mod content;
mod elf;
mod error;
mod find;
mod order;
mod places;
mod rename;
mod run_path;
#[cfg(test)]
mod tests;

pub(crate) use self::bundle::{bundle_folder, bundle_hash, bundle_mark, bundles_folder};
pub(crate) use self::cargo_folders::BUILD_OUTPUT_LIMIT;
pub(crate) use self::content::{combined_hash, content_hash};
pub use self::error::NeededError;
pub(crate) use self::find::{find, places_to_watch};
pub(crate) use self::order::{Found, FoundLibrary};
pub(crate) use self::places::NEEDED_LIBRARIES;
pub(crate) use self::rename::{RenameError, Renames, write_renamed};
