//! The word list in `docs/CONTRIBUTING.md` holds for everything that users read: the README, the book, the command's
//! help, and the string literals and doc comments of the crates.

mod finder;
mod help;
mod markdown;
mod rust;

use std::fs;
use std::path::{Path, PathBuf};

use self::finder::{Rule, find};

const GUIDE: &str = "docs/CONTRIBUTING.md";

/// A piece of text that users read, and where it starts.
#[derive(Debug, PartialEq, Eq)]
struct Passage {
    /// A file, or a command.
    source: String,
    line: usize,
    text: String,
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn rules() -> Vec<Rule> {
    let rules = markdown::rules(&read(&repository().join(GUIDE)));
    assert!(rules.len() > 10, "{GUIDE} has no table with the columns `avoid` and `use`");
    rules
}

/// All files below `folder` with this extension, with their paths in the repository.
fn files(folder: &str, extension: &str) -> Vec<(String, PathBuf)> {
    let root = repository().join(folder);
    let mut found = Vec::new();
    let mut folders = vec![root];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.expect("the folder can be listed").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                let name = path.strip_prefix(repository()).expect("it is below the repository");
                found.push((name.display().to_string(), path.clone()));
            }
        }
    }
    found.sort();
    found
}

/// Fails with each phrase to avoid: where it is, and what to write instead.
#[track_caller]
fn check(passages: &[Passage]) {
    let rules = rules();
    let mut problems = Vec::new();
    for Passage { source, line, text } in passages {
        for found in find(&rules, text) {
            let line = line + found.line;
            problems.push(format!("{source}:{line}: \"{}\": use {}", found.phrase, found.instead));
        }
    }
    assert!(
        problems.is_empty(),
        "{} phrases of the word list in {GUIDE}:\n{}",
        problems.len(),
        problems.join("\n")
    );
}

#[test]
fn the_readme_and_the_book_keep_to_the_word_list() {
    let mut pages = files("docs", "md");
    pages.push(("README.md".to_owned(), repository().join("README.md")));
    pages.retain(|(name, _)| name != GUIDE);
    let passages: Vec<_> =
        pages.iter().flat_map(|(name, path)| markdown::passages(name, &read(path))).collect();
    assert!(passages.len() > 100, "{} paragraphs", passages.len());
    check(&passages);
}

#[test]
fn messages_and_doc_comments_keep_to_the_word_list() {
    let mut sources = files("host/src", "rs");
    sources.append(&mut files("plugin-api", "rs"));
    sources.retain(|(name, _)| !name.ends_with("/tests.rs") && !name.contains("/tests/"));
    let passages: Vec<_> =
        sources.iter().flat_map(|(name, path)| rust::passages(name, &read(path))).collect();
    assert!(passages.len() > 1000, "{} texts", passages.len());
    check(&passages);
}

#[test]
fn the_help_keeps_to_the_word_list() {
    let passages = help::passages();
    let commands: Vec<_> = passages.iter().map(|passage| passage.source.as_str()).collect();
    assert!(commands.contains(&"atoll config show --help"), "{commands:?}");
    check(&passages);
}

#[test]
#[should_panic(expected = "page.md:3: \"goes on\": use continues")]
fn a_phrase_to_avoid_fails_the_check() {
    check(&markdown::passages("page.md", "# Title\n\nThe host goes\non.\n"));
}
