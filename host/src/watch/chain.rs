//! Which entries of which folders decide what a path leads to.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// As the kernel has it (`MAXSYMLINKS`).
const MOST_LINKS: usize = 40;

/// An entry of a folder, or all of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    /// The folder, free of symbolic links.
    pub(super) folder: PathBuf,
    /// The entry's name; `None`: every entry.
    pub(super) name: Option<OsString>,
}

/// The places that decide what `path` (which is absolute) leads to: each symbolic link on the way, and the
/// entry at its end. If the way ends early, the last place is the entry that is missing, in the nearest
/// folder that exists. If a folder is at the end, so are its entries.
///
/// The folders on the way are not among them: watching `/` and `/tmp` and every home would be much noise for
/// what the regular look at each file finds as well.
pub(super) fn places(path: &Path) -> Vec<Place> {
    let mut places = Vec::new();
    let mut links = 0;
    let mut here = PathBuf::from("/");
    let mut rest: VecDeque<OsString> = steps(path).collect();
    while let Some(step) = rest.pop_front() {
        if step == ".." {
            here.pop();
            continue;
        }
        let entry = here.join(&step);
        let place = Place { folder: here.clone(), name: Some(step) };
        let Ok(metadata) = fs::symlink_metadata(&entry) else {
            places.push(place);
            break;
        };
        if metadata.is_symlink() {
            places.push(place);
            links += 1;
            let Ok(target) = fs::read_link(&entry) else { break };
            if links > MOST_LINKS {
                break;
            }
            if target.is_absolute() {
                here = PathBuf::from("/");
            }
            for step in steps(&target).collect::<Vec<_>>().into_iter().rev() {
                rest.push_front(step);
            }
        } else if rest.is_empty() {
            places.push(place);
            if metadata.is_dir() {
                places.push(Place { folder: entry, name: None });
            }
        } else if metadata.is_dir() {
            here = entry;
        } else {
            // A file where a folder should be: it has to go before the way can lead on.
            places.push(place);
            break;
        }
    }
    places
}

fn steps(path: &Path) -> impl Iterator<Item = OsString> + '_ {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::CurDir | Component::RootDir | Component::Prefix(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn place(folder: &Path, name: &str) -> Place {
        Place { folder: folder.to_owned(), name: Some(name.into()) }
    }

    fn folder() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().canonicalize().unwrap();
        (folder, path)
    }

    #[test]
    fn a_plain_file_is_one_place() {
        let (_guard, root) = folder();
        fs::write(root.join("lib.so"), "").unwrap();
        assert_eq!(places(&root.join("lib.so")), [place(&root, "lib.so")]);
    }

    #[test]
    fn a_way_that_ends_early_is_watched_where_it_ends() {
        let (_guard, root) = folder();
        assert_eq!(places(&root.join("a/b/lib.so")), [place(&root, "a")]);
        fs::write(root.join("a"), "a file").unwrap();
        assert_eq!(places(&root.join("a/b/lib.so")), [place(&root, "a")]);
    }

    #[test]
    fn every_link_of_a_chain_is_a_place() {
        let (_guard, root) = folder();
        fs::create_dir_all(root.join("releases/2")).unwrap();
        fs::create_dir(root.join("links")).unwrap();
        fs::write(root.join("releases/2/real.so"), "").unwrap();
        symlink("real.so", root.join("releases/2/lib.so")).unwrap();
        symlink(root.join("releases/2"), root.join("current")).unwrap();
        symlink("../current/lib.so", root.join("links/app.so")).unwrap();
        assert_eq!(
            places(&root.join("links/app.so")),
            [
                place(&root.join("links"), "app.so"),
                place(&root, "current"),
                place(&root.join("releases/2"), "lib.so"),
                place(&root.join("releases/2"), "real.so"),
            ]
        );
    }

    #[test]
    fn links_in_a_circle_come_to_an_end() {
        let (_guard, root) = folder();
        symlink("b", root.join("a")).unwrap();
        symlink("a", root.join("b")).unwrap();
        assert!(places(&root.join("a")).contains(&place(&root, "b")));
    }

    #[test]
    fn a_folder_is_watched_for_its_entries_too() {
        let (_guard, root) = folder();
        fs::create_dir(root.join("libs")).unwrap();
        assert_eq!(
            places(&root.join("libs")),
            [place(&root, "libs"), Place { folder: root.join("libs"), name: None }]
        );
    }
}
