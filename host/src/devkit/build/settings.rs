//! The files that decide how cargo builds a crate, besides manifests.

use std::env;
use std::path::{Path, PathBuf};

use crate::library::source::Package;

/// Files of a folder that hold for cargo when it is called in that folder or below.
const FILES: [&str; 4] = [".cargo/config.toml", ".cargo/config", "rust-toolchain.toml", "rust-toolchain"];

/// The nearest folder with such a file, at or above the crate's; the workspace's folder, if there is none before it. Crates
/// of a workspace for which it is the same are built in the same way.
pub(super) fn folder(package: &Package) -> &Path {
    let decides =
        |folder: &&Path| *folder == package.workspace || FILES.iter().any(|file| folder.join(file).exists());
    package.folder.ancestors().find(decides).unwrap_or(&package.folder)
}

/// All such files for a crate: those that are there, and those that may come to be within its workspace.
pub(super) fn files(folder: &Path, workspace: &Path) -> impl Iterator<Item = PathBuf> {
    let of_home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(env::home_dir()?.join(".cargo")))
        .map(|home| home.join("config.toml"));
    let of_folders = folder.ancestors().flat_map(move |above| {
        let may_come = above == folder || above.starts_with(workspace);
        FILES.iter().map(|file| above.join(file)).filter(move |file| may_come || file.exists())
    });
    of_folders.chain(of_home.filter(|file| file.exists()))
}

/// Whether a file is one of these, a manifest or a lock file: then what is built from what may be something else.
pub fn is_about_builds(path: &Path) -> bool {
    ["Cargo.toml", "Cargo.lock"].iter().chain(&FILES).any(|file| path.ends_with(file))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_crate_with_settings_of_its_own_is_built_by_itself() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for path in ["plain", "own/.cargo", "group/member"] {
            fs::create_dir_all(root.join(path)).unwrap();
        }
        fs::write(root.join("own/.cargo/config.toml"), "").unwrap();
        fs::write(root.join("group/rust-toolchain.toml"), "").unwrap();
        let of = |path: &str| {
            let package = Package {
                name: String::new(),
                folder: root.join(path),
                workspace: root.to_owned(),
                library: String::new(),
            };
            super::folder(&package).strip_prefix(root).unwrap().to_owned()
        };
        assert_eq!([of("plain"), of("own"), of("group/member")], ["", "own", "group"].map(PathBuf::from));

        let files: Vec<_> = files(&root.join("own"), root).collect();
        assert!(files.contains(&root.join("own/.cargo/config.toml")), "{files:?}");
        assert!(files.contains(&root.join("rust-toolchain.toml")), "{files:?}");
        assert!(!files.contains(&Path::new("/rust-toolchain.toml").to_owned()), "{files:?}");
    }
}
