//! The folders that the kernel watches for us, and who is interested in which of their entries.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use notify::event::{CreateKind, EventKind, ModifyKind, RemoveKind};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};

use super::chain::Place;

/// Names one watch.
pub(super) type Id = u64;

/// The folders being watched, each once for all who are interested.
///
/// Watches are never recursive: those of `notify` cannot leave out `target`, with its thousands of folders.
pub(super) struct Folders {
    /// `None`: the kernel grants no notifications, and everything is found by looking regularly.
    kernel: Option<RecommendedWatcher>,
    folders: HashMap<PathBuf, Folder>,
    places: HashMap<Id, HashSet<Place>>,
    /// Watches whose folders were added again, so that notifications may be missing.
    disturbed: HashSet<Id>,
    warned: bool,
}

/// How the kernel stands to a folder.
enum Armed {
    /// It watches it, or cannot.
    Before,
    /// It watches it since a moment ago.
    Now,
    /// The folder is not there any more.
    Gone,
}

#[derive(Default)]
struct Folder {
    /// Which folder the kernel watches under this path. `None`: none, or not this one any more.
    watched: Option<Identity>,
    interest: Vec<(Id, Option<OsString>)>,
}

/// Tells a folder from another that took its place. Inode numbers are soon used again, so the time of
/// creation is part of it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    created: Option<SystemTime>,
}

impl Identity {
    fn read(folder: &Path) -> Option<Identity> {
        let metadata = fs::symlink_metadata(folder).ok().filter(fs::Metadata::is_dir)?;
        Some(Identity { device: metadata.dev(), inode: metadata.ino(), created: metadata.created().ok() })
    }
}

impl Folders {
    pub(super) fn new(kernel: Option<RecommendedWatcher>) -> Self {
        Folders {
            kernel,
            folders: HashMap::new(),
            places: HashMap::new(),
            disturbed: HashSet::new(),
            warned: false,
        }
    }

    /// Makes `places` what `id` is interested in. `true`: this is settled. `false`: the kernel watches
    /// something that it did not before, or a folder has gone, so the places must be found out again.
    pub(super) fn sync(&mut self, id: Id, places: impl IntoIterator<Item = Place>) -> bool {
        let places: HashSet<Place> = places.into_iter().collect();
        let before = self.places.remove(&id).unwrap_or_default();
        for place in places.difference(&before) {
            let folder = self.folders.entry(place.folder.clone()).or_default();
            folder.interest.push((id, place.name.clone()));
        }
        for place in before.difference(&places) {
            self.forget(id, place);
        }
        let mut settled = true;
        for folder in places.iter().map(|place| &place.folder).collect::<HashSet<_>>() {
            settled &= matches!(self.arm(folder), Armed::Before);
        }
        self.places.insert(id, places);
        settled
    }

    /// Watches that must be checked again because others added some of their folders again.
    pub(super) fn take_disturbed(&mut self) -> HashSet<Id> {
        std::mem::take(&mut self.disturbed)
    }

    /// Ends the interest of `id`.
    pub(super) fn remove(&mut self, id: Id) {
        for place in self.places.remove(&id).unwrap_or_default() {
            self.forget(id, &place);
        }
    }

    fn forget(&mut self, id: Id, place: &Place) {
        let Some(folder) = self.folders.get_mut(&place.folder) else { return };
        folder.interest.retain(|(who, name)| *who != id || *name != place.name);
        if folder.interest.is_empty() {
            self.folders.remove(&place.folder);
            if let Some(kernel) = &mut self.kernel {
                // Fails if the folder is gone, and its watch with it.
                let _ = kernel.unwatch(&place.folder);
            }
        }
    }

    /// Has the kernel watch the folder that is at this path now.
    fn arm(&mut self, path: &Path) -> Armed {
        let (Some(kernel), Some(folder)) = (&mut self.kernel, self.folders.get_mut(path)) else {
            return Armed::Before;
        };
        let identity = Identity::read(path);
        if identity.is_some() && identity == folder.watched {
            return Armed::Before;
        }
        // Also when the watch is thought to be gone: if the folder was moved away, it is not.
        let _ = kernel.unwatch(path);
        folder.watched = None;
        if identity.is_none() {
            return Armed::Gone;
        }
        match kernel.watch(path, RecursiveMode::NonRecursive) {
            Ok(()) => {
                folder.watched = identity;
                self.disturbed.extend(folder.interest.iter().map(|(id, _)| *id));
                Armed::Now
            }
            // Asking whether it is there would be too late: it may be back.
            Err(error) if is_gone(&error) => Armed::Gone,
            Err(error) => {
                // The most common reason is the limit on watches, and then every folder fails: once is enough.
                if !std::mem::replace(&mut self.warned, true) {
                    log::warn!(
                        "cannot watch {}: {error}; falling back to polling (see fs.inotify.max_user_watches)",
                        path.display()
                    );
                }
                Armed::Before
            }
        }
    }

    /// Who has to look at their files because of this event.
    pub(super) fn touched_by(&mut self, event: &Event) -> HashSet<Id> {
        if event.need_rescan() {
            return self.places.keys().copied().collect();
        }
        let mut touched = HashSet::new();
        for path in &event.paths {
            if may_replace_folder(&event.kind) {
                // `notify` has dropped, or is about to drop, its watches of this path and below.
                for (_, folder) in self.folders.iter_mut().filter(|(folder, _)| folder.starts_with(path)) {
                    folder.watched = None;
                    touched.extend(folder.interest.iter().map(|(id, _)| *id));
                }
            } else if let Some(folder) = self.folders.get(path) {
                touched.extend(folder.interest.iter().map(|(id, _)| *id));
            }
            if let (Some(parent), Some(entry)) = (path.parent(), path.file_name())
                && let Some(folder) = self.folders.get(parent)
            {
                let interested = folder
                    .interest
                    .iter()
                    .filter(|(_, name)| name.as_deref().is_none_or(|name| name == entry));
                touched.extend(interested.map(|(id, _)| *id));
            }
        }
        touched
    }
}

fn is_gone(error: &notify::Error) -> bool {
    match &error.kind {
        notify::ErrorKind::PathNotFound => true,
        notify::ErrorKind::Io(error) => {
            matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
        }
        _ => false,
    }
}

/// Whether the event can mean that a folder has gone, has come, or is another one now.
fn may_replace_folder(kind: &EventKind) -> bool {
    match kind {
        EventKind::Create(kind) => !matches!(kind, CreateKind::File),
        EventKind::Remove(kind) => !matches!(kind, RemoveKind::File),
        EventKind::Modify(kind) => matches!(kind, ModifyKind::Name(_)),
        _ => false,
    }
}
