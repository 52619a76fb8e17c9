//! The text of an `apps.json` as a tree that keeps its layout.

use jsonc_parser::cst::{CstArray, CstRootNode};

/// A byte order mark, which some editors put first.
pub(super) const MARK: &str = "\u{feff}";

/// The list of apps in either form of the file.
pub(super) fn list_of(root: &CstRootNode) -> Option<CstArray> {
    root.array_value().or_else(|| root.object_value()?.array_value("apps"))
}
