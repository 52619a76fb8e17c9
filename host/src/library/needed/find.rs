//! Finding the shared libraries that lie beside a library.

use std::collections::HashMap;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::bundle::{bundle_folder, end_of};
use super::cargo_folders;
use super::elf::Linking;
use super::error::NeededError;
use super::order::{Found, in_order};
use super::places::{NEEDED_LIBRARIES, is_of_the_process, is_of_the_system, origins};
use super::run_path::{RunPathEntry, entries};
use crate::fs::real_path::real_path;
use crate::fs::regular_file;
use crate::watch::{Writers, writers};

/// Finds the shared libraries that `library` needs and that lie beside it. `file` has its content. What is not found is
/// left to the dynamic loader, as the libraries of the system are; and so is all that a file needs which is no library.
///
/// # Errors
/// See [`NeededError`].
pub(crate) fn find(library: &Path, file: &File) -> Result<Found, NeededError> {
    let Ok(linking) = Linking::read(file) else { return Ok(Found::default()) };
    let mut search = Search::new(library, file)?;
    let needs = search.all(&linking)?;
    in_order(search.libraries, needs, search.searched)
}

/// The files whose change may make another of the libraries beside this one: those that were found or passed over, and the
/// places beside it of those that were not. What cargo makes is left out.
pub(crate) fn places_to_watch(library: &Path) -> Vec<PathBuf> {
    let Ok(file) = regular_file::open(library) else { return Vec::new() };
    let (Ok(linking), Ok(mut search)) = (Linking::read(&file), Search::new(library, &file)) else {
        return Vec::new();
    };
    // What is wrong now may be right when one of them changes.
    let _ = search.all(&linking);
    search
        .libraries
        .iter()
        .map(|node| node.path.clone())
        .chain(search.others)
        .filter(|path| {
            let profile = search.profile.as_deref();
            profile.is_none_or(|profile| !real_path(path).starts_with(profile))
        })
        .collect()
}

struct Search<'a> {
    root: &'a Path,
    /// Its device and inode.
    root_file: (u64, u64),
    /// When it was linked.
    linked: SystemTime,
    /// What `atoll build` has put beside it.
    bundle: PathBuf,
    /// The folder of cargo's that it is in. What is there is linked again when something in it changes.
    profile: Option<PathBuf>,
    /// Read when they are needed first.
    cargo_folders: Option<Vec<PathBuf>>,
    libraries: Vec<Node>,
    by_file: HashMap<(u64, u64), usize>,
    by_name: HashMap<String, usize>,
    searched: Vec<String>,
    /// Files that were passed over, and places of those that were not found.
    others: Vec<PathBuf>,
}

/// A library while others are looked for.
pub(super) struct Node {
    pub(super) name: String,
    pub(super) path: PathBuf,
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

impl<'a> Search<'a> {
    fn new(library: &'a Path, file: &File) -> Result<Self, NeededError> {
        let unreadable = |reason| NeededError::Read { path: library.to_owned(), reason };
        let metadata = fs::metadata(library).map_err(unreadable)?;
        Ok(Self {
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
            others: Vec::new(),
        })
    }

    /// Looks for all libraries; which of them the first one needs itself.
    fn all(&mut self, linking: &Linking) -> Result<Vec<(String, usize)>, NeededError> {
        let needs = self.needs_of(self.root, linking)?;
        // Breadth first, as the loader does, so that of two with one name the same is found.
        let mut place = 0;
        while let Some(Node { path, linking, .. }) = self.libraries.get(place) {
            let (path, linking) = (path.clone(), linking.clone());
            self.libraries[place].needs = self.needs_of(&path, &linking)?;
            place += 1;
        }
        Ok(needs)
    }

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
        for folder in self.cargo_folders().to_vec() {
            if let Some(found) = self.look_in(&folder, name, is_root)? {
                return Ok(found);
            }
        }
        let places = is_root.then(|| self.bundle.clone()).into_iter().chain(beside.take(1));
        self.others.extend(places.map(|folder| folder.join(name)));
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
        let read = || {
            let file = regular_file::open(&path)?;
            let metadata = file.metadata()?;
            Ok((file, (metadata.dev(), metadata.ino())))
        };
        let opened = read().map_err(|reason| NeededError::Read { path: path.clone(), reason });
        let (file, identity) = opened.inspect_err(|_| self.others.push(path.clone()))?;
        if is_root && identity == self.root_file {
            // An app may have the name of a library that it needs.
            return Ok(None);
        }
        let error = match Linking::read(&file) {
            Ok(linking) => return Ok(Some(Place::File(path, identity, linking))),
            Err(error) => error,
        };
        self.others.push(path.clone());
        if writers(&file) == Writers::Some {
            return Err(NeededError::BeingWritten(path));
        }
        self.searched.push(format!("{} ({error})", path.display()));
        Ok(None)
    }

    fn cargo_folders(&mut self) -> &[PathBuf] {
        let Self { cargo_folders, profile, linked, .. } = self;
        cargo_folders.get_or_insert_with(|| {
            profile.as_ref().map(|profile| cargo_folders::folders(profile, *linked)).unwrap_or_default()
        })
    }
}
