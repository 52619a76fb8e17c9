//! The folders of a crate are layers: each uses only what stands below it, and files do not import each other in circles.
//!
//! The book's page on the architecture has the order. Here it is compared with what the files import.

mod check;
mod imports;
mod sources;
mod table;

use std::fs;
use std::path::{Path, PathBuf};

use self::check::check;
use self::sources::Sources;
use self::table::Layer;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Fails if what is in `root` is not as the table of the page says.
#[track_caller]
fn holds(root: &str) {
    let page = repository().join("docs/src/architecture.md");
    let page = fs::read_to_string(&page).expect("the book has a page on the architecture");
    let layers = table::read(&page, root).unwrap_or_else(|error| panic!("{error}"));
    let sources = Sources::read(&repository().join(root)).unwrap_or_else(|error| panic!("{error}"));
    let problems = check(&sources, &layers);
    assert!(
        problems.is_empty(),
        "{root} is not as docs/src/architecture.md says:\n\n{}",
        problems.join("\n\n")
    );
}

#[test]
fn the_layers_of_the_host_hold() {
    holds("host/src");
}

#[test]
fn the_layers_of_the_app_side_hold() {
    holds("plugin-api/src");
}

/// What is wrong with these files: their paths and texts. The layers, from the top: `http`, `app`, `port`.
fn problems(files: &[(&str, &str)]) -> Vec<String> {
    let layer = |name: &str, may_use: &[&str]| Layer {
        name: name.to_owned(),
        may_use: may_use.iter().map(|&name| name.to_owned()).collect(),
    };
    let layers = [layer("http", &["app", "port"]), layer("app", &["port"]), layer("port", &[])];
    // A folder without files is none.
    let rest = ["http/rest.rs", "app/rest.rs", "port/rest.rs"].map(|path| (path, ""));
    check(&Sources::of(files.iter().copied().chain(rest)).expect("they are Rust"), &layers)
}

#[track_caller]
fn the_problem(files: &[(&str, &str)]) -> String {
    let mut problems = problems(files);
    assert_eq!(problems.len(), 1, "{problems:#?}");
    problems.remove(0)
}

#[test]
fn imports_that_run_down_are_fine() {
    let files = [
        ("lib.rs", "mod http; mod app; mod port; pub use http::Http;"),
        ("http/mod.rs", "mod page; pub use page::Page; use crate::app::{self, handle::App};"),
        ("http/page.rs", "use crate::port; fn f() { crate::app::handle::find() }"),
        ("app/mod.rs", "pub(crate) mod handle; fn f() { handle::find() }"),
        ("port/mod.rs", ""),
        ("app/handle.rs", "pub(in crate::app) struct App; use std::fmt; use crate::port::rest::*;"),
    ];
    assert_eq!(problems(&files), [""; 0]);
}

#[test]
fn an_import_that_runs_up_is_named_with_both_files() {
    for import in [
        "use crate::http::page::Page;",
        "use crate::{http::{page::{Page}}};",
        "use super::super::http::page::Page as Other;",
        "fn f() { crate::http::page::Page::new() }",
        "fn f(page: &crate::http::page::Page) {}",
        "fn f() { log!(\"{}\", vec![super::super::http::page::Page]) }",
        "macro_rules! page { () => { $crate::http::page::Page } }",
        "mod inner { use super::super::super::http::page::Page; }",
        "#[derive(With(crate::http::page::Page))] struct X;",
    ] {
        let files = [("http/page.rs", "pub struct Page;"), ("app/handle.rs", import)];
        let problem = the_problem(&files);
        assert!(problem.starts_with("app/handle.rs imports Page"), "{import}: {problem}");
        assert!(problem.contains("http/page.rs"), "{import}: {problem}");
    }
}

#[test]
fn an_import_that_the_table_does_not_allow_is_named() {
    let layers = [("http", vec!["app"]), ("app", vec![]), ("port", vec![])];
    let layers = layers.map(|(name, may_use)| Layer {
        name: name.to_owned(),
        may_use: may_use.into_iter().map(str::to_owned).collect(),
    });
    let files =
        [("http/page.rs", "use crate::port::host_end::Port;"), ("app/a.rs", ""), ("port/host_end.rs", "")];
    let problems = check(&Sources::of(files).expect("they are Rust"), &layers);
    assert_eq!(
        problems,
        ["http/page.rs imports Port from port/host_end.rs, and the table has no `port` for `http`"]
    );
}

#[test]
fn what_is_for_tests_does_not_count() {
    let import = "use crate::http::page::Page;";
    let files = [
        ("http/page.rs", ""),
        ("app/mod.rs", "#[cfg(test)] mod fixtures; #[cfg(test)] mod tests;"),
        ("app/handle.rs", &format!("#[cfg(test)] mod tests {{ {import} }} #[cfg(test)] {import}")),
        ("app/tests.rs", import),
        ("app/fixtures.rs", import),
        ("app/tests/more.rs", import),
        (
            "app/doc.rs",
            "/// As [`Page`](crate::http::page::Page).\n// use crate::http::page::Page;\nstruct X;",
        ),
    ];
    assert_eq!(problems(&files), [""; 0]);
}

#[test]
fn nothing_imports_the_crates_root() {
    let problem = the_problem(&[("lib.rs", "pub use app::App;"), ("app/handle.rs", "use crate::App;")]);
    assert_eq!(
        problem,
        "app/handle.rs imports App from lib.rs, the crate's root: import it from where it is defined"
    );
}

#[test]
fn two_files_may_import_each_other() {
    let files = [("app/mod.rs", "mod a; use self::a::A;"), ("app/a.rs", "use super::Both;")];
    assert_eq!(problems(&files), [""; 0]);
}

#[test]
fn a_circle_of_three_files_is_named_with_its_imports() {
    let files = [
        ("app/mod.rs", "mod a; mod b; pub use a::A; struct Shared;"),
        ("app/a.rs", "use super::b::B;"),
        ("app/b.rs", "use super::Shared; fn f(_: super::Shared) {}"),
        // It is at the edge of the circle, and not in it.
        ("app/c.rs", "use super::a::A;"),
    ];
    let expected = "\
3 files of app import each other in a circle:
  app/a.rs -> app/b.rs: B
  app/b.rs -> app/mod.rs: Shared
  app/mod.rs -> app/a.rs: A";
    assert_eq!(the_problem(&files), expected);
}

#[test]
fn a_folder_and_the_table_say_the_same() {
    let problem = the_problem(&[("abi/vtable.rs", "")]);
    assert_eq!(problem, "the table has no `abi`, which is there");
    let layers = ["http", "app"].map(|name| Layer { name: name.to_owned(), may_use: Vec::new() });
    let problems = check(&Sources::of([("http/page.rs", "")]).expect("it is Rust"), &layers);
    assert_eq!(problems, ["the table has `app`, which is not there"]);
}

#[test]
fn the_table_is_read_from_its_page() {
    let page = "\
# Architecture

| no | table |
|---|---|

## The layers of `host/src`

| folder | what lives there | what it may use |
|---|---|---|
| `http/` | requests \\| answers | `app`, `port` |
| `app/` | apps, as `http` sees them | `port` |
| `port/` | messages | nothing |

## The layers of `plugin-api/src`
";
    let layers = table::read(page, "host/src").expect("it is well formed");
    let layers: Vec<_> = layers.iter().map(|layer| (layer.name.as_str(), layer.may_use.join(" "))).collect();
    assert_eq!(
        layers,
        [("http", "app port".to_owned()), ("app", "port".to_owned()), ("port", String::new())]
    );
    for (root, expected) in [
        ("plugin-api/src", "has no table below its heading with `plugin-api/src`"),
        ("benches/src", "has no heading with `benches/src`"),
    ] {
        let error = table::read(page, root).expect_err("there is none");
        assert!(error.contains(expected), "{error}");
    }
    let upside_down = page.replace("| nothing |", "| `http` |");
    let error = table::read(&upside_down, "host/src").expect_err("it runs up");
    assert!(error.contains("`port` may use `http`, which does not stand below it"), "{error}");
}
