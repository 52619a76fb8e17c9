//! What a file takes from other files of its crate.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, File, ItemMod, ItemUse, Macro, UseTree, Visibility};

use crate::sources::{Sources, is_for_tests, module_of};

/// The files that a file imports, each with what it takes from there. A name that a file re-exports counts as its own, so
/// that an import is of the file that it names.
pub(crate) fn of<'a>(sources: &'a Sources, path: &str, file: &File) -> BTreeMap<&'a str, BTreeSet<String>> {
    let mut paths = Paths { sources, module: module_of(path), found: BTreeSet::new() };
    paths.visit_file(file);
    let mut imports = BTreeMap::<&str, BTreeSet<String>>::new();
    for found in &paths.found {
        let (other, item) = sources.find(found);
        if other != path {
            imports.entry(other).or_default().insert(item.to_owned());
        }
    }
    imports
}

/// Collects the paths in a file that lead to the crate's own modules.
struct Paths<'a> {
    sources: &'a Sources,
    /// Where it is.
    module: Vec<String>,
    /// From the crate's root.
    found: BTreeSet<Vec<String>>,
}

impl Paths<'_> {
    /// Takes note of a path as it is written.
    fn add(&mut self, path: &[String]) {
        let [first, rest @ ..] = path else { return };
        let (mut absolute, mut rest) = match first.as_str() {
            "crate" => (Vec::new(), rest),
            "self" | "super" => (self.module.clone(), path),
            // A module that this one has declared.
            name => {
                let child = [&self.module[..], &[name.to_owned()]].concat();
                if !self.module.is_empty() && self.sources.has(&child) {
                    (self.module.clone(), path)
                } else {
                    return;
                }
            }
        };
        while let [first, more @ ..] = rest {
            match first.as_str() {
                "self" => {}
                "super" => drop(absolute.pop()),
                _ => break,
            }
            rest = more;
        }
        absolute.extend(rest.iter().filter(|name| *name != "self").cloned());
        self.found.insert(absolute);
    }

    fn add_tree(&mut self, before: &[String], tree: &UseTree) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        match tree {
            UseTree::Path(path) => self.add_tree(&with(&path.ident), &path.tree),
            UseTree::Name(name) => self.add(&with(&name.ident)),
            UseTree::Rename(rename) => self.add(&with(&rename.ident)),
            UseTree::Glob(_) => self.add(before),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.add_tree(before, tree)),
        }
    }

    /// Looks for paths among the tokens of a macro.
    fn add_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(name) => {
                    if colons != 2 {
                        self.end(&mut path);
                    }
                    path.push(name.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' && !path.is_empty() => colons += 1,
                other => {
                    self.end(&mut path);
                    colons = 0;
                    if let TokenTree::Group(group) = other {
                        self.add_tokens(group.stream());
                    }
                }
            }
        }
        self.end(&mut path);
    }

    /// A name alone is none of a module's.
    fn end(&mut self, path: &mut Vec<String>) {
        if path.len() > 1 {
            self.add(path);
        }
        path.clear();
    }
}

impl<'ast> Visit<'ast> for Paths<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        let attributes = match item {
            syn::Item::Const(item) => &item.attrs,
            syn::Item::Enum(item) => &item.attrs,
            syn::Item::Fn(item) => &item.attrs,
            syn::Item::Impl(item) => &item.attrs,
            syn::Item::Mod(item) => &item.attrs,
            syn::Item::Static(item) => &item.attrs,
            syn::Item::Struct(item) => &item.attrs,
            syn::Item::Use(item) => &item.attrs,
            _ => return visit::visit_item(self, item),
        };
        if !is_for_tests(attributes) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        self.module.push(module.ident.to_string());
        visit::visit_item_mod(self, module);
        self.module.pop();
    }

    /// A macro for other crates names what they see of this one.
    fn visit_item_macro(&mut self, item: &'ast syn::ItemMacro) {
        if !item.attrs.iter().any(|attribute| attribute.path().is_ident("macro_export")) {
            visit::visit_item_macro(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        if item.leading_colon.is_none() {
            self.add_tree(&[], &item.tree);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.leading_colon.is_none() && path.segments.len() > 1 {
            let names: Vec<_> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            self.add(&names);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        self.visit_path(&call.path);
        self.add_tokens(call.tokens.clone());
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if let syn::Meta::List(list) = &attribute.meta {
            self.add_tokens(list.tokens.clone());
        }
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        if !is_for_tests(&function.attrs) {
            visit::visit_impl_item_fn(self, function);
        }
    }

    // What `pub(in path)` names is no import.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}
}
