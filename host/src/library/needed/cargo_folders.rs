//! Where the libraries are that build scripts have made: the folders in which a program finds them that `cargo run`
//! starts.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::fs::real_path::real_path;
use crate::fs::regular_file;

/// How many bytes of what a build script has printed are read; one that has printed more is left out.
pub(crate) const BUILD_OUTPUT_LIMIT: u64 = 16 << 20;

/// The folder of a profile in cargo's target folder, as `target/debug`, if this library is in it.
pub(super) fn profile_of(library: &Path) -> Option<PathBuf> {
    let folder = real_path(library.parent()?);
    let profile = if folder.ends_with("deps") { folder.parent()?.to_owned() } else { folder };
    (profile.join(".fingerprint").is_dir() && profile.join("build").is_dir()).then_some(profile)
}

/// The folders of a profile that cargo has a program search for libraries, for a library that was linked at this moment.
///
/// They are those of the build scripts that ran before it was linked, the newest first: a later one is of another build. As
/// with cargo, only folders of the profile count.
pub(super) fn folders(profile: &Path, linked: SystemTime) -> Vec<PathBuf> {
    let entries = fs::read_dir(profile.join("build")).into_iter().flatten().flatten();
    let mut outputs: Vec<(SystemTime, PathBuf)> = entries
        .filter_map(|entry| {
            let output = entry.path().join("output");
            let written = fs::metadata(&output).ok()?.modified().ok()?;
            (written <= linked).then_some((written, output))
        })
        .collect();
    outputs.sort_by(|(one, _), (other, _)| other.cmp(one));
    let mut folders = Vec::new();
    for (_, output) in outputs {
        // A build script that is about to run has none.
        let Ok(text) = regular_file::read(&output, BUILD_OUTPUT_LIMIT) else { continue };
        for folder in search_paths(&String::from_utf8_lossy(&text)) {
            let folder = real_path(&folder);
            if folder.starts_with(profile) && !folders.contains(&folder) {
                folders.push(folder);
            }
        }
    }
    folders.push(profile.join("deps"));
    folders
}

/// The folders that a build script adds to the linker's search path.
fn search_paths(output: &str) -> Vec<PathBuf> {
    let instruction = |line: &'_ str, name: &str| {
        let rest = line.strip_prefix("cargo::").or_else(|| line.strip_prefix("cargo:"))?;
        Some(rest.strip_prefix(name)?.strip_prefix('=')?.trim().to_owned())
    };
    let mut paths = Vec::new();
    for line in output.lines() {
        if let Some(path) = instruction(line, "rustc-link-search") {
            paths.push(without_kind(&path).into());
        } else if let Some(flags) = instruction(line, "rustc-flags") {
            let mut words = flags.split_ascii_whitespace();
            while let Some(word) = words.next() {
                let path = match word.strip_prefix("-L") {
                    Some("") => words.next(),
                    path => path,
                };
                paths.extend(path.map(|path| PathBuf::from(without_kind(path))));
            }
        }
    }
    paths
}

/// A search path without what it is for, as `native=`.
fn without_kind(path: &str) -> &str {
    let kinds = ["native", "dependency", "crate", "framework", "all"];
    path.split_once('=').filter(|(kind, _)| kinds.contains(kind)).map_or(path, |(_, path)| path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::time::Duration;

    #[test]
    fn build_scripts_name_folders_in_some_ways() {
        let text = "cargo:rustc-link-search=/a\ncargo::rustc-link-search=native=/b\nnoise\n\
                    cargo::rustc-flags=-L /c -l foo -Lnative=/d\ncargo::rustc-link-lib=e\ncargo::rustc-link-search=/x=y\n";
        assert_eq!(search_paths(text), ["/a", "/b", "/c", "/d", "/x=y"].map(PathBuf::from));
    }

    #[test]
    fn the_newest_build_script_before_the_library_comes_first() {
        let place = tempfile::tempdir().unwrap();
        let profile = real_path(place.path()).join("target/debug");
        let now = SystemTime::now();
        for (name, age) in [("old", 30), ("new", 20), ("later", 5)] {
            let folder = profile.join("build").join(name);
            fs::create_dir_all(folder.join("out")).unwrap();
            let text = format!("cargo::rustc-link-search={}\n", folder.join("out").display());
            fs::write(folder.join("output"), text + "cargo::rustc-link-search=/opt\n").unwrap();
            let written = File::options().write(true).open(folder.join("output")).unwrap();
            written.set_modified(now - Duration::from_secs(age)).unwrap();
        }
        let found = folders(&profile, now - Duration::from_secs(10));
        assert_eq!(found, ["build/new/out", "build/old/out", "deps"].map(|folder| profile.join(folder)));
        assert_eq!(profile_of(&profile.join("libapp.so")), None);
        fs::create_dir(profile.join(".fingerprint")).unwrap();
        assert_eq!(profile_of(&profile.join("libapp.so")).as_ref(), Some(&profile));
        fs::create_dir(profile.join("deps")).unwrap();
        assert_eq!(profile_of(&profile.join("deps/libapp.so")).as_ref(), Some(&profile));
    }
}
