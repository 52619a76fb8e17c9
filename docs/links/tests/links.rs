//! What the book and the README refer to is there: pages, their headings, and files of the repository.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Component, Path, PathBuf};

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

/// What the reader makes, with `atoll new`.
const MADE: [&str; 2] = ["apps/greeter", "apps/tasks"];

/// A page as it is written.
#[derive(Default)]
struct Page {
    anchors: BTreeSet<String>,
    links: Vec<String>,
    /// Texts in code type within the prose.
    code: Vec<String>,
}

impl Page {
    fn read(file: &Path) -> Self {
        let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let mut page = Self::default();
        let mut seen = HashMap::<String, usize>::new();
        let mut heading: Option<String> = None;
        for event in Parser::new_ext(&text, Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH) {
            match event {
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => {
                    let anchor = anchor(&heading.take().unwrap_or_default());
                    let before = seen.entry(anchor.clone()).or_default();
                    page.anchors.insert(if *before == 0 { anchor } else { format!("{anchor}-{before}") });
                    *before += 1;
                }
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    page.links.push(dest_url.into_string());
                }
                Event::Text(text) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&text);
                    }
                }
                Event::Code(code) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&code);
                    }
                    page.code.push(code.into_string());
                }
                _ => {}
            }
        }
        page
    }
}

/// The anchor of a heading, as mdBook and GitHub make it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter_map(|c| match c {
        c if c.is_whitespace() => Some('-'),
        c if c.is_alphanumeric() || c == '_' || c == '-' => Some(c),
        _ => None,
    });
    kept.collect::<String>().to_lowercase()
}

fn root() -> PathBuf {
    normal(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."))
}

fn book() -> PathBuf {
    root().join("docs/src")
}

/// The path without `..`.
fn normal(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut normal, component| {
        if component == Component::ParentDir {
            normal.pop();
        } else {
            normal.push(component);
        }
        normal
    })
}

/// The README and all pages of the book, by their paths.
fn pages() -> BTreeMap<PathBuf, Page> {
    let files = fs::read_dir(book()).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|file| file.extension().is_some_and(|end| end == "md"));
    files.chain([root().join("README.md")]).map(|file| (file.clone(), Page::read(&file))).collect()
}

/// Where the sections of pages that were divided have gone: from `page.md#anchor` to `page.md` or `page.md#anchor`.
fn redirects() -> BTreeMap<String, String> {
    let text = fs::read_to_string(root().join("docs/book.toml")).unwrap();
    let config: toml::Table = toml::from_str(&text).unwrap();
    let redirects = config["output"]["html"]["redirect"].as_table().unwrap();
    let page = |url: &str| url.trim_start_matches('/').replacen(".html", ".md", 1);
    redirects.iter().map(|(from, to)| (page(from), page(to.as_str().unwrap()))).collect()
}

/// What is wrong with a link to `target` on a page in `folder`.
fn wrong(pages: &BTreeMap<PathBuf, Page>, file: &Path, target: &str) -> Option<String> {
    let (path, fragment) = target.split_once('#').unwrap_or((target, ""));
    let there = match path {
        "" => file.to_owned(),
        path => normal(&file.parent()?.join(path)),
    };
    if !there.exists() {
        return Some(format!("there is no {}", there.display()));
    }
    if fragment.is_empty() {
        return None;
    }
    let Some(page) = pages.get(&there) else {
        return Some(format!("{} is no page of the book", there.display()));
    };
    if page.anchors.contains(fragment) {
        return None;
    }
    let moved = format!("{}#{fragment}", there.file_name()?.to_string_lossy());
    Some(match redirects().get(&moved) {
        Some(to) => format!("the section is now {to}"),
        None => format!("the page has no such heading, but {:?}", page.anchors),
    })
}

#[test]
fn links_lead_somewhere() {
    let pages = pages();
    let mut errors = Vec::new();
    for (file, page) in &pages {
        for link in page.links.iter().filter(|link| !link.contains("://")) {
            if let Some(why) = wrong(&pages, file, link) {
                errors.push(format!("{}: {link}: {why}", file.display()));
            }
            if file.starts_with(book()) && link.starts_with("..") {
                errors.push(format!("{}: {link}: it is not in the rendered book", file.display()));
            }
        }
    }
    assert!(errors.is_empty(), "mend these links:\n{}", errors.join("\n"));
}

#[test]
fn files_that_are_named_are_there() {
    let entries =
        fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let folders: Vec<_> =
        entries.filter(|name| name != "target" && name != ".git").map(|name| name + "/").collect();
    let mut errors = Vec::new();
    let mut count = 0;
    for (file, page) in pages() {
        let is_path = |code: &&String| {
            folders.iter().any(|folder| code.starts_with(folder)) && !code.contains([' ', '{', '*', '…'])
        };
        for code in page.code.iter().filter(is_path) {
            count += 1;
            if !root().join(code).exists() && !MADE.iter().any(|made| code.starts_with(made)) {
                errors.push(format!("{}: `{code}`", file.display()));
            }
        }
    }
    assert!(errors.is_empty(), "there are no such files:\n{}", errors.join("\n"));
    assert!(count > 10, "the book names files: {count}");
}

#[test]
fn each_page_is_in_the_summary_once() {
    let mut listed = Page::read(&book().join("SUMMARY.md")).links;
    listed.sort();
    let names = pages().into_keys().filter(|file| file.starts_with(book()));
    let mut names: Vec<_> =
        names.map(|file| file.file_name().unwrap().to_string_lossy().into_owned()).collect();
    names.retain(|name| name != "SUMMARY.md");
    names.sort();
    assert_eq!(listed, names);
}

#[test]
fn sections_that_have_moved_are_where_the_redirects_lead() {
    let pages = pages();
    for (from, to) in redirects() {
        let (page, anchor) = from.split_once('#').expect("a redirect of a section");
        let page = pages.get(&book().join(page)).unwrap_or_else(|| panic!("{from}: there is no such page"));
        assert!(!page.anchors.contains(anchor), "{from} is there: take its redirect out of docs/book.toml");
        assert_eq!(wrong(&pages, &book().join("SUMMARY.md"), &to), None, "the redirect from {from}");
    }
}

#[test]
fn anchors_are_those_of_mdbook() {
    assert_eq!(anchor("`start`: host → app"), "start-host--app");
    assert_eq!(anchor("The request's id and trace"), "the-requests-id-and-trace");
}
