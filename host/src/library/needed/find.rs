//! Finding the shared libraries that lie beside a library.

use std::collections::{HashMap, VecDeque};
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::bundle::{bundle_folder, end_of};
use super::cargo_folders;
use super::elf::Linking;
use super::error::NeededError;
use super::order::in_order;
use super::places::{NEEDED_LIBRARIES, is_of_the_process, is_of_the_system, origins};
use super::run_path::{RunPathEntry, entries};
use crate::fs::real_path::real_path;
use crate::fs::regular_file;
use crate::watch::{Writers, writers};

/// What was found beside a library.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Each behind those that it needs.
    pub(crate) libraries: Vec<FoundLibrary>,
    /// Which of them the library needs itself: the name, and the place in `libraries`.
    pub(crate) needs: Vec<(String, usize)>,
    /// Where was looked, for people: folders, and files that were passed over with the reason.
    pub(crate) searched: Vec<String>,
    /// Where those would be found that were not.
    absent: Vec<PathBuf>,
}

/// A library that was found.
#[derive(Debug)]
pub(crate) struct FoundLibrary {
    /// The name by which it is needed first.
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    /// As [`Found::needs`].
    pub(crate) needs: Vec<(String, usize)>,
    /// Whether cargo has made it, which links what needs it again when it changes.
    is_cargos: bool,
}

/// Finds the shared libraries that `library` needs and that lie beside it. `file` has its content. What is not found is
/// left to the dynamic loader, as the libraries of the system are; and so is all that a file needs which is no library.
///
/// # Errors
/// See [`NeededError`].
pub(crate) fn find(library: &Path, file: &File) -> Result<Found, NeededError> {
    let Ok(linking) = Linking::read(file) else { return Ok(Found::default()) };
    let unreadable = |reason| NeededError::Read { path: library.to_owned(), reason };
    let metadata = fs::metadata(library).map_err(unreadable)?;
    let mut search = Search {
        root: library,
        root_file: (metadata.dev(), metadata.ino()),
        linked: metadata.modified().map_err(unreadable)?,
        bundle: bundle_folder(library, &end_of(file).map_err(unreadable)?),
        profile: cargo_folders::profile_of(library),
        cargo_folders: None,
        libraries: Vec::new(),
        by_file: HashMap::new(),
        by_name: HashMap::new(),
        searched: Vec::new(),
        absent: Vec::new(),
    };
    let needs = search.needs_of(library, &linking)?;
    // Breadth first, as the loader does, so that of two with one name the same is found.
    let mut queue: VecDeque<usize> = (0..search.libraries.len()).collect();
    while let Some(place) = queue.pop_front() {
        let (path, linking) = (search.libraries[place].path.clone(), search.libraries[place].linking.clone());
        let before = search.libraries.len();
        search.libraries[place].needs = search.needs_of(&path, &linking)?;
        queue.extend(before..search.libraries.len());
    }
    search.sorted(needs)
}

/// The files whose change may make another of the libraries beside this one: those that were found, and the places beside it
/// of those that were not. What cargo makes is left out.
pub(crate) fn places_to_watch(library: &Path) -> Vec<PathBuf> {
    let found = regular_file::open(library).ok().and_then(|file| find(library, &file).ok());
    let Some(found) = found else { return Vec::new() };
    let of_others = found.libraries.into_iter().filter(|library| !library.is_cargos);
    of_others.map(|library| library.path).chain(found.absent).collect()
}

struct Search<'a> {
    root: &'a Path,
    /// Its device and inode.
    root_file: (u64, u64),
    /// When it was linked.
    linked: SystemTime,
    /// What `atoll build` has put beside it.
    bundle: PathBuf,
    profile: Option<PathBuf>,
    /// Read when they are needed first.
    cargo_folders: Option<Vec<PathBuf>>,
    libraries: Vec<Node>,
    by_file: HashMap<(u64, u64), usize>,
    by_name: HashMap<String, usize>,
    searched: Vec<String>,
    absent: Vec<PathBuf>,
}

/// A library while others are looked for.
pub(super) struct Node {
    pub(super) name: String,
    path: PathBuf,
    linking: Linking,
    pub(super) needs: Vec<(String, usize)>,
}

/// Where a name leads.
enum Place {
    /// To this one, by its device and inode.
    File(PathBuf, (u64, u64), Linking),
    /// To a library that the dynamic loader finds.
    Elsewhere,
}

impl Search<'_> {
    /// The libraries beside it that a library needs.
    fn needs_of(&mut self, library: &Path, linking: &Linking) -> Result<Vec<(String, usize)>, NeededError> {
        let mut needs = Vec::new();
        for name in &linking.needed {
            if is_of_the_process(name) || name.contains('/') {
                continue;
            }
            if let Some(place) = self.resolve(name, library, linking)? {
                needs.push((name.clone(), place));
            }
        }
        Ok(needs)
    }

    fn resolve(
        &mut self,
        name: &str,
        library: &Path,
        linking: &Linking,
    ) -> Result<Option<usize>, NeededError> {
        let known = self.by_name.get(name).copied().or_else(|| {
            // The loader knows what it has loaded by the library's own name, too.
            self.libraries.iter().position(|known| known.linking.name.as_deref() == Some(name))
        });
        if let Some(place) = known {
            return Ok(Some(place));
        }
        let Place::File(path, file, linking) = self.look_for(name, library, linking)? else {
            return Ok(None);
        };
        if file == self.root_file {
            let between = library.file_name().unwrap_or_default().to_string_lossy().into_owned();
            return Err(NeededError::Cycle(vec![name.to_owned(), between, name.to_owned()]));
        }
        let place = match self.by_file.get(&file) {
            Some(&place) => place,
            None if self.libraries.len() == NEEDED_LIBRARIES => return Err(NeededError::TooMany),
            None => {
                let name = name.to_owned();
                self.libraries.push(Node { name, path, linking, needs: Vec::new() });
                self.libraries.len() - 1
            }
        };
        self.by_file.insert(file, place);
        self.by_name.insert(name.to_owned(), place);
        Ok(Some(place))
    }

    /// Looks where `library` says, and then beside it and where cargo puts what build scripts make.
    fn look_for(&mut self, name: &str, library: &Path, linking: &Linking) -> Result<Place, NeededError> {
        let is_root = library == self.root;
        let mut folders = Vec::new();
        if is_root {
            folders.push(RunPathEntry::Relative(self.bundle.clone()));
        }
        let origins = origins(library);
        folders.extend(origins.iter().flat_map(|origin| entries(&linking.run_path, origin)));
        let beside = origins.into_iter().filter(|origin| !is_of_the_system(origin));
        folders.extend(beside.clone().map(RunPathEntry::Relative));
        folders.extend(self.cargo_folders().iter().cloned().map(RunPathEntry::Relative));
        for folder in folders {
            match folder {
                RunPathEntry::Absolute(folder) if folder.join(name).exists() => return Ok(Place::Elsewhere),
                RunPathEntry::Absolute(_) => {}
                RunPathEntry::Relative(folder) => {
                    if let Some(found) = self.look_in(&folder, name, is_root)? {
                        return Ok(found);
                    }
                }
            }
        }
        if is_root {
            let places = [self.bundle.clone()].into_iter().chain(beside.take(1));
            self.absent.extend(places.map(|folder| folder.join(name)));
        }
        Ok(Place::Elsewhere)
    }

    fn look_in(&mut self, folder: &Path, name: &str, is_root: bool) -> Result<Option<Place>, NeededError> {
        let text = folder.display().to_string();
        if folder.is_dir() && !self.searched.contains(&text) {
            self.searched.push(text);
        }
        let path = folder.join(name);
        if !path.is_file() {
            return Ok(None);
        }
        let file =
            regular_file::open(&path).map_err(|reason| NeededError::Read { path: path.clone(), reason })?;
        let metadata = file.metadata().map_err(|reason| NeededError::Read { path: path.clone(), reason })?;
        let identity = (metadata.dev(), metadata.ino());
        if is_root && identity == self.root_file {
            // An app may have the name of a library that it needs.
            return Ok(None);
        }
        match Linking::read(&file) {
            Ok(linking) => Ok(Some(Place::File(path, identity, linking))),
            Err(_) if writers(&file) == Writers::Some => Err(NeededError::BeingWritten(path)),
            Err(error) => {
                self.searched.push(format!("{} ({error})", path.display()));
                Ok(None)
            }
        }
    }

    fn cargo_folders(&mut self) -> &[PathBuf] {
        let Self { cargo_folders, profile, linked, .. } = self;
        cargo_folders.get_or_insert_with(|| {
            profile.as_ref().map(|profile| cargo_folders::folders(profile, *linked)).unwrap_or_default()
        })
    }

    /// What was found, each behind those that it needs.
    fn sorted(self, needs: Vec<(String, usize)>) -> Result<Found, NeededError> {
        let order = in_order(&self.libraries)?;
        let new: HashMap<usize, usize> = order.iter().enumerate().map(|(new, old)| (*old, new)).collect();
        let moved =
            |needs: Vec<(String, usize)>| needs.into_iter().map(|(name, old)| (name, new[&old])).collect();
        let mut nodes: Vec<Option<Node>> = self.libraries.into_iter().map(Some).collect();
        let sorted = order.iter().filter_map(|&place| nodes[place].take());
        let libraries = sorted.map(|Node { name, path, needs, .. }| {
            let profile = self.profile.as_deref();
            let is_cargos = profile.is_some_and(|profile| real_path(&path).starts_with(profile));
            FoundLibrary { name, path, needs: moved(needs), is_cargos }
        });
        let libraries = libraries.collect();
        Ok(Found { libraries, needs: moved(needs), searched: self.searched, absent: self.absent })
    }
}
