//! Finding the shared libraries that lie beside a library.

use std::collections::{HashMap, VecDeque};
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::cargo_folders;
use super::elf::Linking;
use super::error::NeededError;
use super::run_path::{RunPathEntry, entries};
use crate::fs::real_path::real_path;
use crate::fs::regular_file;
use crate::watch::{Writers, writers};

/// How many shared libraries beside it an app's library may need, directly or through others. Each is a file descriptor
/// for an app process.
pub(crate) const NEEDED_LIBRARIES: usize = 64;

/// The libraries that are in each process once: the C library's and the unwinder, which the host itself has loaded.
const OF_THE_PROCESS: [&str; 10] = [
    "libc.so.6",
    "libm.so.6",
    "libpthread.so.0",
    "libdl.so.2",
    "librt.so.1",
    "libutil.so.1",
    "libresolv.so.2",
    "libanl.so.1",
    "libmvec.so.1",
    "libgcc_s.so.1",
];

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

/// The folder in which `atoll build` puts the shared libraries of this one.
pub(crate) fn bundle_folder(library: &Path) -> PathBuf {
    library.with_extension("libs")
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
    search.in_order(needs)
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
    profile: Option<PathBuf>,
    /// Read when they are needed first.
    cargo_folders: Option<Vec<PathBuf>>,
    libraries: Vec<Node>,
    by_file: HashMap<(u64, u64), usize>,
    by_name: HashMap<String, usize>,
    searched: Vec<String>,
    absent: Vec<PathBuf>,
}

struct Node {
    name: String,
    path: PathBuf,
    linking: Linking,
    needs: Vec<(String, usize)>,
}

/// Where a name leads.
enum Place {
    File(PathBuf, File, Linking),
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
        let metadata = file.metadata().map_err(|reason| NeededError::Read { path: path.clone(), reason })?;
        let file = (metadata.dev(), metadata.ino());
        if file == self.root_file {
            return Err(NeededError::Cycle(vec![name.to_owned(), name.to_owned()]));
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
            folders.push(RunPathEntry::Relative(bundle_folder(library)));
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
                    if let Some(found) = self.look_in(&folder, name)? {
                        return Ok(found);
                    }
                }
            }
        }
        if is_root {
            self.absent.extend(beside.take(1).map(|folder| folder.join(name)));
        }
        Ok(Place::Elsewhere)
    }

    fn look_in(&mut self, folder: &Path, name: &str) -> Result<Option<Place>, NeededError> {
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
        match Linking::read(&file) {
            Ok(linking) => Ok(Some(Place::File(path, file, linking))),
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
    fn in_order(self, needs: Vec<(String, usize)>) -> Result<Found, NeededError> {
        let mut order = Vec::new();
        let mut above = Vec::new();
        for place in 0..self.libraries.len() {
            visit(&self.libraries, place, &mut above, &mut order)?;
        }
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

/// Adds a library behind all that it needs. `above`: those that are visited because they need it.
fn visit(
    nodes: &[Node],
    place: usize,
    above: &mut Vec<usize>,
    order: &mut Vec<usize>,
) -> Result<(), NeededError> {
    if order.contains(&place) {
        return Ok(());
    }
    if let Some(first) = above.iter().position(|it| *it == place) {
        let circle = above[first..].iter().chain([&place]);
        return Err(NeededError::Cycle(circle.map(|&it| nodes[it].name.clone()).collect()));
    }
    above.push(place);
    for (_, needed) in &nodes[place].needs {
        visit(nodes, *needed, above, order)?;
    }
    above.pop();
    order.push(place);
    Ok(())
}

fn is_of_the_process(name: &str) -> bool {
    OF_THE_PROCESS.contains(&name) || name.starts_with("ld-linux")
}

/// The folder of a library, and the one of the file that it is a link to.
fn origins(library: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> =
        [library, &real_path(library)].iter().filter_map(|path| Some(path.parent()?.to_owned())).collect();
    folders.dedup();
    folders
}

/// Whether the dynamic loader looks in this folder by itself.
fn is_of_the_system(folder: &Path) -> bool {
    let folder = real_path(folder);
    let triple = format!("{}-linux-gnu", std::env::consts::ARCH);
    let roots = ["/lib", "/lib64", "/usr/lib", "/usr/lib64"].map(|root| real_path(Path::new(root)));
    roots.iter().any(|root| folder == *root || folder == root.join(&triple))
}
