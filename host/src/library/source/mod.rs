//! From the `path` of an app in `apps.json` to the library's file.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::Deserialize;

use crate::fs::regular_file::{self, SMALL_FILE_LIMIT};

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

/// The crate that a library is built from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// Its name, as `cargo build -p` takes it.
    pub name: String,
    /// The folder of its `Cargo.toml`.
    pub folder: PathBuf,
    /// The folder of the workspace that it belongs to, where `cargo` is to be run; often the same.
    pub workspace: PathBuf,
    /// The file name of its library, as `libhello.so`.
    pub library: String,
}

/// Why there is no library.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The path leads nowhere.
    #[error("no such path: {}{}", path.display(), did_you_mean(suggestion.as_deref()))]
    NotFound {
        /// The path.
        path: PathBuf,
        /// A path that exists and may have been meant, relative to the folder that `path` is in.
        suggestion: Option<PathBuf>,
    },
    /// The path names a library that does not exist.
    #[error(
        "no library at {} (yet): build it, or correct the path{}",
        path.display(),
        did_you_mean(suggestion.as_deref())
    )]
    NoFile {
        /// The path.
        path: PathBuf,
        /// A path that exists and may have been meant, relative to the folder that `path` is in.
        suggestion: Option<PathBuf>,
    },
    /// A folder that is no crate's and has no library in it.
    #[error(
        "nothing to load in {}: looked for Cargo.toml and for one lib*.so; \
         name a crate's folder, a folder with a library in it, or a library",
        folder.display()
    )]
    EmptyFolder {
        /// The folder.
        folder: PathBuf,
    },
    /// A folder with several libraries in it, none of which is called like the app.
    #[error(
        "{} libraries in {}, and none is called {expected}: found {}; name one of them in the path",
        found.len(),
        folder.display(),
        found.join(", ")
    )]
    Ambiguous {
        /// The folder.
        folder: PathBuf,
        /// The file names of the libraries in it.
        found: Vec<String>,
        /// The file name that would have been chosen.
        expected: String,
    },
    /// The crate has not been built, or its library has been removed.
    #[error(
        "the library of crate {} is not built: looked for {}; run `cargo build -p {}` in {}",
        package.name,
        list(looked_for),
        package.name,
        package.workspace.display()
    )]
    NotBuilt {
        /// The crate.
        package: Package,
        /// Where its library was looked for.
        looked_for: Vec<PathBuf>,
    },
    /// The crate does not build a library that can be loaded.
    #[error(
        "crate {package} builds no cdylib: {} has {}; add `crate-type = [\"cdylib\"]` under `[lib]`",
        manifest.display(),
        crate_types(found)
    )]
    NotCdylib {
        /// The crate's name.
        package: String,
        /// Its `Cargo.toml`.
        manifest: PathBuf,
        /// The crate types that it asks for. Empty: it does not say, so it builds an ordinary Rust library.
        found: Vec<String>,
    },
    /// A `Cargo.toml` of a workspace only.
    #[error("{} is of a workspace, not of a crate: name the folder of one of its members", manifest.display())]
    NoPackage {
        /// The `Cargo.toml`.
        manifest: PathBuf,
    },
    /// A `Cargo.toml` that cannot be understood.
    #[error("cannot understand {}: {reason}", manifest.display())]
    Manifest {
        /// The `Cargo.toml`.
        manifest: PathBuf,
        /// What is wrong with it.
        reason: Box<toml::de::Error>,
    },
    /// A file or folder that cannot be read.
    #[error("cannot read {}: {reason}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        reason: io::Error,
    },
}

fn did_you_mean(suggestion: Option<&Path>) -> String {
    suggestion.map(|path| format!("; did you mean {}?", path.display())).unwrap_or_default()
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

fn crate_types(found: &[String]) -> String {
    match found {
        [] => "no crate-type".to_owned(),
        found => format!("crate-type = {found:?}"),
    }
}

/// Reads environment variables; tests have their own.
type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

impl Source {
    /// Finds out what the absolute path `path` leads to. `app` is the app's name, which decides between
    /// several libraries in one folder.
    pub fn locate(path: impl AsRef<Path>, app: &str) -> Source {
        Source::locate_with(path.as_ref(), app, &|name| env::var_os(name))
    }

    fn locate_with(path: &Path, app: &str, environment: Environment<'_>) -> Source {
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => {
                let manifest = path.join("Cargo.toml");
                if manifest.exists() { in_crate(path, manifest, environment) } else { in_folder(path, app) }
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

#[derive(Deserialize)]
struct Manifest {
    package: Option<ManifestPackage>,
    lib: Option<ManifestLib>,
    workspace: Option<ManifestWorkspace>,
}

#[derive(Deserialize)]
struct ManifestWorkspace {
    #[serde(default)]
    members: Vec<PathBuf>,
    #[serde(default)]
    exclude: Vec<PathBuf>,
}

impl ManifestWorkspace {
    /// Whether a crate below the workspace's folder is none of its members. A member that is named wins over an
    /// excluded folder around it.
    fn excludes(&self, root: &Path, folder: &Path) -> bool {
        let covers = |paths: &[PathBuf]| paths.iter().any(|path| folder.starts_with(root.join(path)));
        covers(&self.exclude) && !covers(&self.members)
    }
}

#[derive(Deserialize)]
struct ManifestPackage {
    name: String,
    /// The workspace's folder, where it is not one of those above.
    workspace: Option<PathBuf>,
}

#[derive(Default, Deserialize)]
struct ManifestLib {
    name: Option<String>,
    #[serde(rename = "crate-type", alias = "crate_type", default)]
    crate_type: Vec<String>,
}

impl Manifest {
    fn read(manifest: &Path) -> Result<Manifest, SourceError> {
        let text = regular_file::read_to_string(manifest, SMALL_FILE_LIMIT)
            .map_err(|reason| SourceError::Read { path: manifest.to_owned(), reason })?;
        toml::from_str(&text)
            .map_err(|reason| SourceError::Manifest { manifest: manifest.to_owned(), reason: reason.into() })
    }
}

/// In a crate's folder.
fn in_crate(folder: &Path, manifest: PathBuf, environment: Environment<'_>) -> Source {
    let package = match package(folder, &manifest) {
        Ok(package) => package,
        Err(error) => return Source::only(&manifest, Err(error)),
    };
    let candidates = candidates(&package, environment);
    let newest = candidates
        .iter()
        .filter_map(|path| Some((built(path)?, path)))
        // Of two that are equally new, the first, so that `debug` comes before `release`.
        .reduce(|newest, next| if next.0 > newest.0 { next } else { newest })
        .map(|(_, path)| path.clone());
    let library = newest
        .ok_or_else(|| SourceError::NotBuilt { package: package.clone(), looked_for: candidates.clone() });
    let watch = [manifest].into_iter().chain(candidates).collect();
    Source { library, watch, package: Some(package) }
}

fn built(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).ok().filter(fs::Metadata::is_file)?.modified().ok()
}

fn package(folder: &Path, manifest: &Path) -> Result<Package, SourceError> {
    let parsed = Manifest::read(manifest)?;
    let Some(ManifestPackage { name, workspace }) = parsed.package else {
        return Err(SourceError::NoPackage { manifest: manifest.to_owned() });
    };
    let lib = parsed.lib.unwrap_or_default();
    if !lib.crate_type.iter().any(|kind| kind == "cdylib") {
        return Err(SourceError::NotCdylib {
            package: name,
            manifest: manifest.to_owned(),
            found: lib.crate_type,
        });
    }
    let library = format!("lib{}.so", lib.name.unwrap_or_else(|| name.replace('-', "_")));
    let workspace = match workspace {
        Some(workspace) => folder.join(workspace),
        None if parsed.workspace.is_some() => folder.to_owned(),
        None => workspace_above(folder).unwrap_or_else(|| folder.to_owned()),
    };
    Ok(Package { name, folder: folder.to_owned(), workspace, library })
}

/// The folder of the workspace that a crate without a `[workspace]` of its own belongs to, as cargo looks for it: where the
/// crate really is, above any link that leads to it.
pub(crate) fn workspace_above(folder: &Path) -> Option<PathBuf> {
    let real = folder.canonicalize();
    let folder = real.as_deref().unwrap_or(folder);
    folder.ancestors().skip(1).find_map(|above| {
        let manifest = Manifest::read(&above.join("Cargo.toml")).ok()?;
        if let Some(workspace) = manifest.workspace {
            return (!workspace.excludes(above, folder)).then(|| above.to_owned());
        }
        manifest.package?.workspace.map(|workspace| above.join(workspace))
    })
}

/// Where cargo may put the library, in the order of preference.
fn candidates(package: &Package, environment: Environment<'_>) -> Vec<PathBuf> {
    let mut targets: Vec<PathBuf> = Vec::new();
    let mut triples: Vec<String> = Vec::new();
    for name in ["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR"] {
        targets.extend(environment(name).and_then(|folder| std::path::absolute(folder).ok()));
    }
    triples.extend(environment("CARGO_BUILD_TARGET").and_then(|triple| triple.into_string().ok()));
    for config in configs(&package.folder, environment) {
        targets.extend(config.target_dir);
        triples.extend(config.targets);
    }
    targets.push(package.workspace.join("target"));
    // The host may see another environment than the one that cargo was run in, and a crate may have been
    // built before it joined a workspace. What is there and newest counts.
    targets.extend(
        package
            .folder
            .ancestors()
            .filter(|above| above.join("Cargo.toml").exists())
            .map(|above| above.join("target")),
    );
    let mut candidates: Vec<PathBuf> = Vec::new();
    for target in targets {
        let own = target.join(atoll_plugin::stamp::TARGET);
        let crossed = triples.iter().map(|triple| target.join(triple)).chain(own.is_dir().then_some(own));
        for output in [target.clone()].into_iter().chain(crossed) {
            for profile in ["debug", "release"] {
                let candidate = output.join(profile).join(&package.library);
                if !candidates.contains(&candidate) {
                    candidates.push(candidate);
                }
            }
        }
    }
    candidates
}

/// What a `.cargo/config.toml` says of where cargo puts what it builds.
struct CargoConfig {
    target_dir: Option<PathBuf>,
    targets: Vec<String>,
}

#[derive(Default, Deserialize)]
struct ConfigFile {
    #[serde(default)]
    build: ConfigBuild,
}

#[derive(Default, Deserialize)]
struct ConfigBuild {
    #[serde(rename = "target-dir")]
    target_dir: Option<PathBuf>,
    target: Option<OneOrMore>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

/// Cargo's configuration for a folder, the most important first. A file that cannot be understood is left
/// out: cargo itself says what is wrong with it.
fn configs(folder: &Path, environment: Environment<'_>) -> Vec<CargoConfig> {
    let home = environment("CARGO_HOME").map(PathBuf::from);
    let folders = folder.ancestors().map(|above| above.join(".cargo")).chain(home);
    folders
        .filter_map(|folder| {
            let text = ["config.toml", "config"]
                .iter()
                .find_map(|name| regular_file::read_to_string(&folder.join(name), SMALL_FILE_LIMIT).ok())?;
            let build = toml::from_str::<ConfigFile>(&text).ok()?.build;
            Some(CargoConfig {
                // Relative to the folder that `.cargo` is in.
                target_dir: build.target_dir.and_then(|target| Some(folder.parent()?.join(target))),
                targets: match build.target {
                    Some(OneOrMore::One(target)) => vec![target],
                    Some(OneOrMore::More(targets)) => targets,
                    None => Vec::new(),
                },
            })
        })
        .collect()
}

#[cfg(test)]
mod tests;
