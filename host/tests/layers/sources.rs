//! The files of a crate, as the modules that they are.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;

use syn::{Attribute, Item};

/// The files of a crate, by their paths below its `src`, but for those that are for tests only.
#[derive(Default)]
pub(crate) struct Sources {
    pub(crate) files: BTreeMap<String, syn::File>,
    /// The file of each module.
    modules: BTreeMap<Vec<String>, String>,
}

impl Sources {
    /// All that is below this folder.
    pub(crate) fn read(root: &Path) -> Result<Self, String> {
        let mut files = Vec::new();
        list(root, "", &mut files).map_err(|error| format!("{}: {error}", root.display()))?;
        Self::of(files.iter().map(|(path, text)| (path.as_str(), text.as_str())))
    }

    /// These files: their paths and texts.
    pub(crate) fn of<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, String> {
        let mut sources = Self::default();
        for (path, text) in files {
            let parsed = syn::parse_file(text).map_err(|error| format!("{path}: {error}"))?;
            let root = sources.modules.entry(module_of(path)).or_default();
            // A library's root, where a crate has a program as well.
            if path != "main.rs" || root.is_empty() {
                path.clone_into(root);
            }
            sources.files.insert(path.to_owned(), parsed);
        }
        let for_tests = sources.for_tests();
        let is_for_tests = |path: &str| {
            let module = module_of(path);
            module.last().is_some_and(|name| name == "tests")
                || (0..=module.len()).any(|length| for_tests.contains(&module[..length]))
        };
        sources.files.retain(|path, _| !is_for_tests(path));
        Ok(sources)
    }

    /// The modules that files declare for tests only.
    fn for_tests(&self) -> BTreeSet<Vec<String>> {
        let mut found = BTreeSet::new();
        for (path, file) in &self.files {
            for item in &file.items {
                if let Item::Mod(module) = item
                    && is_for_tests(&module.attrs)
                {
                    let mut name = module_of(path);
                    name.push(module.ident.to_string());
                    found.insert(name);
                }
            }
        }
        found
    }

    /// The file that this path of modules and an item, from the crate's root, leads to, and what is taken from there.
    pub(crate) fn find<'a, 'b>(&'a self, path: &'b [String]) -> (&'a str, &'b str) {
        for length in (0..=path.len()).rev() {
            if let Some(file) = self.modules.get(&path[..length]) {
                let item = path.get(length).or(path.last());
                return (file, item.map_or("*", String::as_str));
            }
        }
        // The crate's root is a module without a file where only a part of a crate is looked at.
        ("lib.rs", path.first().map_or("*", String::as_str))
    }

    /// Whether there is a file of this module.
    pub(crate) fn has(&self, module: &[String]) -> bool {
        self.modules.contains_key(module)
    }
}

/// The path of modules of a file.
pub(crate) fn module_of(path: &str) -> Vec<String> {
    let path = path.trim_end_matches(".rs");
    let mut names: Vec<_> = path.split('/').map(str::to_owned).collect();
    let is_root = matches!(path, "lib" | "main");
    names.pop_if(|last| is_root || last == "mod");
    names
}

/// Whether what has these attributes is there in tests only.
pub(crate) fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Path>().is_ok_and(|condition| condition.is_ident("test"))
    })
}

fn list(folder: &Path, below: &str, files: &mut Vec<(String, String)>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        let name = format!("{below}{name}");
        if path.is_dir() {
            list(&path, &format!("{name}/"), files)?;
        } else if name.ends_with(".rs") {
            files.push((name, fs::read_to_string(&path)?));
        }
    }
    Ok(())
}
