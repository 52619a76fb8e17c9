//! What is wrong with the layers of a crate.

use std::collections::{BTreeMap, BTreeSet};

use crate::imports;
use crate::sources::Sources;
use crate::table::Layer;

/// The roots of crates, which may import anything, and which nothing imports.
const ROOTS: [&str; 2] = ["lib.rs", "main.rs"];

/// The files that each file imports, with what it takes from there.
type Imports<'a> = BTreeMap<&'a str, BTreeMap<&'a str, BTreeSet<String>>>;

/// What is wrong, a text for each; `layers` are from the top.
pub(crate) fn check(sources: &Sources, layers: &[Layer]) -> Vec<String> {
    let files = sources.files.iter().filter(|(path, _)| !ROOTS.contains(&path.as_str()));
    let imports: Imports<'_> =
        files.map(|(path, file)| (path.as_str(), imports::of(sources, path, file))).collect();
    let mut problems = missing(&imports, layers);
    problems.extend(wrong_ways(&imports, layers));
    problems.extend(circles(&imports));
    problems
}

/// The folder that a file is in, or the file itself beside the crate's root.
fn layer_of(path: &str) -> &str {
    path.split_once('/').map_or(path, |(folder, _)| folder)
}

/// Folders that are not in the table, and the other way round.
fn missing(imports: &Imports<'_>, layers: &[Layer]) -> Vec<String> {
    let there: BTreeSet<&str> = imports.keys().map(|path| layer_of(path)).collect();
    let known: BTreeSet<&str> = layers.iter().map(|layer| layer.name.as_str()).collect();
    let unknown = there.difference(&known).map(|name| format!("the table has no `{name}`, which is there"));
    let gone = known.difference(&there).map(|name| format!("the table has `{name}`, which is not there"));
    unknown.chain(gone).collect()
}

/// Imports that run up, or that the table does not allow.
fn wrong_ways(imports: &Imports<'_>, layers: &[Layer]) -> Vec<String> {
    let place = |name: &str| layers.iter().position(|layer| layer.name == name);
    let mut problems = Vec::new();
    for (path, others) in imports {
        for (other, items) in others {
            let (from, to) = (layer_of(path), layer_of(other));
            let items = items.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            let import = format!("{path} imports {items} from {other}");
            if ROOTS.contains(other) {
                problems.push(format!("{import}, the crate's root: import it from where it is defined"));
            } else if let (Some(above), Some(below)) = (place(from), place(to))
                && from != to
            {
                if above > below {
                    problems.push(format!("{import}, which runs up: `{to}` stands above `{from}`"));
                } else if !layers[above].may_use.iter().any(|name| name == to) {
                    problems.push(format!("{import}, and the table has no `{to}` for `{from}`"));
                }
            }
        }
    }
    problems
}

/// Circles of more than two files.
fn circles(imports: &Imports<'_>) -> Vec<String> {
    let reach: BTreeMap<&str, BTreeSet<&str>> =
        imports.keys().map(|&path| (path, reachable(imports, path))).collect();
    let mut problems = Vec::new();
    let mut seen = BTreeSet::new();
    for (&path, others) in &reach {
        // Those that are reached from it and from which it is reached; itself among them, if there are any.
        let is_back = |other: &&&str| reach.get(**other).is_some_and(|back| back.contains(path));
        let circle: BTreeSet<&str> = others.iter().filter(is_back).copied().collect();
        let folders: BTreeSet<&str> = circle.iter().map(|path| layer_of(path)).collect();
        if (circle.len() <= 2 && folders.len() <= 1) || !seen.insert(circle.clone()) {
            continue;
        }
        let folders = Vec::from_iter(folders).join(" and ");
        let mut text = format!("{} files of {folders} import each other in a circle:", circle.len());
        for &file in &circle {
            for (other, items) in imports[file].iter().filter(|(other, _)| circle.contains(**other)) {
                let items: Vec<_> = items.iter().map(String::as_str).collect();
                text.push_str(&format!("\n  {file} -> {other}: {}", items.join(", ")));
            }
        }
        problems.push(text);
    }
    problems
}

/// The files that a file imports, and those that they import.
fn reachable<'a>(imports: &Imports<'a>, path: &str) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut todo: Vec<&str> = vec![path];
    while let Some(path) = todo.pop() {
        for &other in imports.get(path).into_iter().flat_map(BTreeMap::keys) {
            if found.insert(other) {
                todo.push(other);
            }
        }
    }
    found
}
