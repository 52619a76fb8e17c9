//! The files that a failed build complains about. Cargo and rustc write down what they have read only when they succeed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::dep_info::absolute;

/// How many files are taken from one failure.
const MOST: usize = 500;

/// The files that a text names, by a path that is relative to one of these folders; also those that are missing, if the
/// folder is there that they would be in.
pub(super) fn files(text: &str, bases: &[&Path]) -> BTreeSet<PathBuf> {
    let is_separator = |c: char| c.is_whitespace() || "\"'`<>(),;=".contains(c);
    // The second is for paths with spaces.
    let words = text.split(is_separator).chain(text.split(['`', '"', '\n']));
    let mut files = BTreeSet::new();
    for word in words.map(|word| without_position(word.trim())) {
        if !word.contains(['/', '.']) || word.len() > 1024 {
            continue;
        }
        for path in bases.iter().map(|base| absolute(Path::new(word), &[base])) {
            let may_come = || word.contains('/') && !path.exists() && path.parent().is_some_and(Path::is_dir);
            if path.is_file() || may_come() {
                files.insert(path);
            }
        }
        if files.len() > MOST {
            break;
        }
    }
    files
}

/// `src/lib.rs` of `src/lib.rs:3:5`.
fn without_position(word: &str) -> &str {
    let mut word = word.trim_end_matches([':', '.']);
    while let Some((path, number)) = word.rsplit_once(':')
        && !number.is_empty()
        && number.bytes().all(|byte| byte.is_ascii_digit())
    {
        word = path;
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn files_that_are_wrong_or_missing_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        for path in ["app/src", "shared"] {
            fs::create_dir_all(root.join(path)).unwrap();
        }
        for file in ["app/src/lib.rs", "shared/code.rs", "shared/my page.html"] {
            fs::write(root.join(file), "").unwrap();
        }
        let text = "error: expected item\n --> shared/code.rs:3:5\n  |\n\
            error: couldn't read `app/src/../../shared/none.html`: No such file or directory (os error 2)\n\
            --> app/src/lib.rs:1:12\n\
            failed to parse template `shared/my page.html`\n\
            cargo:rerun-if-changed=../shared/x.proto\n\
            error: could not compile `app` (lib) due to 1.5 previous errors; see https://x/y for more\n";
        let found = files(text, &[&root, &root.join("app")]);
        let expected =
            ["app/src/lib.rs", "shared/code.rs", "shared/my page.html", "shared/none.html", "shared/x.proto"];
        for path in expected {
            assert!(found.contains(&root.join(path)), "{path} in {found:?}");
        }
        assert!(found.len() <= 8, "{found:?}");
    }
}
