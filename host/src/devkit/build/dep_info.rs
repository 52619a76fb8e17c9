//! What cargo and rustc write down of the files that they have read.

use std::fs;
use std::path::{Component, Path, PathBuf};

use cargo_metadata::Artifact;

/// The dep-info files of an artifact. Cargo's own lies beside what it hands out, and is written when a whole build has
/// succeeded; rustc's, for each crate that was compiled.
pub(super) fn of_artifact(artifact: &Artifact) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for file in artifact.filenames.iter().map(|file| file.as_std_path()) {
        let (Some(folder), Some(stem)) = (file.parent(), file.file_stem().and_then(|stem| stem.to_str()))
        else {
            continue;
        };
        if artifact.target.is_custom_build() {
            // Its folder has nothing else in it, and the file's name has a hash.
            let files = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
            found.extend(files.filter(|path| path.extension().is_some_and(|end| end == "d")));
        } else {
            let own = format!("{}.d", stem.strip_prefix("lib").unwrap_or(stem));
            found.extend([file.with_extension("d"), folder.join(&own), folder.join("deps").join(&own)]);
        }
    }
    found.sort();
    found.dedup();
    found
}

/// The files that a dep-info file names, as they are written there.
pub(super) fn parse(text: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((_, files_of_line)) = line.split_once(": ") else { continue };
        // A space within a name is escaped.
        let spaced = files_of_line.replace("\\ ", "\0");
        files.extend(spaced.split_whitespace().map(|file| PathBuf::from(file.replace('\0', " "))));
    }
    files
}

/// What a build script asks for by its output: the files and folders for which it is to run again. `None`: it asks for
/// nothing, and then that is any file of its package.
pub(super) fn of_script(output: &str) -> Option<Vec<PathBuf>> {
    let asked = output.lines().filter_map(|line| {
        let line = line.strip_prefix("cargo::").or_else(|| line.strip_prefix("cargo:"))?;
        line.split_once('=').filter(|(name, _)| name.starts_with("rerun-if-"))
    });
    let asked: Vec<_> = asked.collect();
    let files = asked.iter().filter(|(name, _)| *name == "rerun-if-changed").map(|(_, path)| path.into());
    (!asked.is_empty()).then(|| files.collect())
}

/// A path that is relative to one of these folders: to the first where it exists. What leads up again is taken out, as far
/// as the folders are there.
pub(super) fn absolute(path: &Path, bases: &[&Path]) -> PathBuf {
    let mut places = bases.iter().map(|base| base.join(path));
    let place = match places.clone().find(|place| place.exists()) {
        Some(place) => place,
        None => places.next().unwrap_or_else(|| path.to_owned()),
    };
    let parts: Vec<_> = place.components().collect();
    let Some(last) = parts.iter().rposition(|part| *part == Component::ParentDir) else {
        // Without dots and doubled slashes.
        return parts.iter().collect();
    };
    let (up, rest) = parts.split_at(last + 1);
    let up: PathBuf = up.iter().collect();
    up.canonicalize().unwrap_or(up).join(rest.iter().collect::<PathBuf>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dep_info_file_names_files() {
        let text = "/t/liba.so: /a/src/lib.rs /a/my\\ page.html\n\na/src/lib.rs:\n\n# env-dep:HOME=/x: y\n";
        assert_eq!(parse(text), ["/a/src/lib.rs", "/a/my page.html"].map(PathBuf::from));
    }

    #[test]
    fn a_build_script_asks_for_files() {
        let output = "cargo:rerun-if-changed=../x.proto\ncargo::rerun-if-changed=/y z\ncargo:rustc-cfg=a\n";
        assert_eq!(of_script(output), Some(["../x.proto", "/y z"].map(PathBuf::from).to_vec()));
        assert_eq!(of_script("cargo:rerun-if-env-changed=A\n"), Some(Vec::new()));
        assert_eq!(of_script("cargo:rustc-cfg=a\nhello\n"), None);
    }

    #[test]
    fn a_path_is_relative_to_where_it_exists() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("app/src")).unwrap();
        fs::write(root.join("page.html"), "").unwrap();
        let app = root.join("app");
        let find = |path: &str| absolute(Path::new(path), &[&root, &app]);
        assert_eq!(find("app/src/../../page.html"), root.join("page.html"));
        assert_eq!(find("src"), app.join("src"));
        assert_eq!(find("app/../none/x"), root.join("none/x"));
        assert_eq!(find("/x/./y"), Path::new("/x/y"));
    }
}
