//! From the `path` of an app in `apps.json` to the library's file.

mod cargo_output;
mod error;
mod manifest;
mod package;
mod path;
mod profiles;

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use self::cargo_output::{Environment, candidates};
pub use self::error::SourceError;
use self::manifest::package;
pub(crate) use self::manifest::workspace_above;
pub use self::package::Package;
pub use self::path::SourcePath;

/// Where an app's library comes from: what its `path` leads to at the moment.
///
/// A path may name a library's file, a folder with one library in it, or the folder of a crate. That there is
/// no library yet is nothing final, as it may be built later. So this is always made; it either has a
/// [library](Source::library) or the reason why not, and it always says [what to watch](Source::watch). When
/// any of that changes, locate it again.
///
/// ```
/// use atoll_host::internal::Source;
///
/// let folder = tempfile::tempdir()?;
/// let source = Source::locate(folder.path().join("libhello.so"), "hello");
/// assert!(source.library().is_err());
///
/// std::fs::write(folder.path().join("libhello.so"), "a library")?;
/// let source = Source::locate(folder.path(), "hello");
/// assert_eq!(source.library().unwrap(), folder.path().join("libhello.so"));
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct Source {
    library: Result<PathBuf, SourceError>,
    watch: Vec<PathBuf>,
    package: Option<Package>,
}

impl Source {
    /// Finds out what the absolute path `path` leads to. `app` is the app's name, which decides between
    /// several libraries in one folder.
    pub fn locate(path: impl Into<SourcePath>, app: &str) -> Source {
        Source::locate_with(&path.into(), app, &|name| env::var_os(name))
    }

    fn locate_with(source: &SourcePath, app: &str, environment: Environment<'_>) -> Source {
        let path = source.path.as_path();
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => {
                let manifest = path.join("Cargo.toml");
                if manifest.exists() { in_crate(source, manifest, environment) } else { in_folder(path, app) }
            }
            Ok(_) => Source::only(path, Ok(path.to_owned())),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                Source::only(path, Err(SourceError::Read { path: path.to_owned(), reason: error }))
            }
            Err(_) => {
                let (path, suggestion) = (path.to_owned(), suggestion(path));
                // A link that leads nowhere says that a file is meant, whatever it is called.
                let is_library = path.extension() == Some(OsStr::new("so")) || path.is_symlink();
                Source::only(
                    &path.clone(),
                    Err(if is_library {
                        SourceError::NoFile { path, suggestion }
                    } else {
                        SourceError::NotFound { path, suggestion }
                    }),
                )
            }
        }
    }

    /// What cargo has built of a crate just now, wherever it has put it.
    pub fn built(package: Package, library: PathBuf) -> Source {
        Source { watch: vec![library.clone()], library: Ok(library), package: Some(package) }
    }

    fn only(watch: &Path, library: Result<PathBuf, SourceError>) -> Source {
        Source { library, watch: vec![watch.to_owned()], package: None }
    }

    /// The library's file, or why there is none.
    pub fn library(&self) -> Result<&Path, &SourceError> {
        self.library.as_deref()
    }

    /// Every path that has a say in what the library is: the library itself, the places where another one
    /// may appear, the crate's `Cargo.toml`. A folder among them is to be watched for its entries.
    pub fn watch(&self) -> &[PathBuf] {
        &self.watch
    }

    /// The crate that the library is built from, if the path names one.
    pub fn package(&self) -> Option<&Package> {
        self.package.as_ref()
    }
}

/// `apps/hello` for a path that ends in `hello`, if there is one next to it.
fn suggestion(path: &Path) -> Option<PathBuf> {
    let guess = Path::new("apps").join(path.file_name()?);
    path.parent()?.join(&guess).exists().then_some(guess)
}

/// In a folder that is no crate's.
fn in_folder(folder: &Path, app: &str) -> Source {
    let mut found = match libraries(folder) {
        Ok(found) => found,
        Err(reason) => {
            return Source::only(folder, Err(SourceError::Read { path: folder.to_owned(), reason }));
        }
    };
    let paths: Vec<PathBuf> = found.iter().map(|name| folder.join(name)).collect();
    let expected = format!("lib{}.so", app.replace('-', "_"));
    let verbatim = format!("lib{app}.so");
    let library = if found.len() > 1 {
        found
            .iter()
            .position(|name| *name == expected)
            .or_else(|| found.iter().position(|name| *name == verbatim))
            .map(|chosen| folder.join(found.swap_remove(chosen)))
            .ok_or_else(|| SourceError::Ambiguous { folder: folder.to_owned(), found, expected })
    } else {
        paths.first().cloned().ok_or_else(|| SourceError::EmptyFolder { folder: folder.to_owned() })
    };
    let watch = [folder.to_owned()].into_iter().chain(paths).collect();
    Source { library, watch, package: None }
}

/// The names of all `lib*.so` in a folder, in order.
fn libraries(folder: &Path) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if let Ok(name) = entry.file_name().into_string()
            && name.starts_with("lib")
            && name.ends_with(".so")
            && !entry.path().is_dir()
        {
            found.push(name);
        }
    }
    found.sort();
    Ok(found)
}

/// In a crate's folder.
fn in_crate(source: &SourcePath, manifest: PathBuf, environment: Environment<'_>) -> Source {
    let package = match package(&source.path, &manifest) {
        Ok(package) => package,
        Err(error) => return Source::only(&manifest, Err(error)),
    };
    let candidates = candidates(&package, source, environment);
    let newest = candidates
        .iter()
        .filter_map(|path| Some((built(path)?, path)))
        // Of two that are equally new, the first, so that `debug` comes before `release`.
        .reduce(|newest, next| if next.0 > newest.0 { next } else { newest })
        .map(|(_, path)| path.clone());
    let library = newest.ok_or_else(|| SourceError::NotBuilt {
        package: package.clone(),
        wanted: source.clone().into(),
        looked_for: candidates.as_slice().into(),
    });
    // The workspace's manifest has the profiles.
    let workspace = package.workspace.join("Cargo.toml");
    let workspace = Some(workspace).filter(|workspace| *workspace != manifest);
    let watch = [manifest].into_iter().chain(workspace).chain(candidates).collect();
    Source { library, watch, package: Some(package) }
}

fn built(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).ok().filter(fs::Metadata::is_file)?.modified().ok()
}

#[cfg(test)]
mod tests;
