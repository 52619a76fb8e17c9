//! What a build has made.

use std::path::Path;

use super::error::BuildError;
use super::inputs::Inputs;
use crate::library::source::Package;

/// A library that cargo has made.
#[derive(Clone, Copy, Debug)]
pub struct BuiltLibrary<'a> {
    /// Its crate.
    pub package: &'a Package,
    /// Its file.
    pub path: &'a Path,
    /// Whether it was there already, as it is now.
    pub fresh: bool,
}

/// How a build has ended.
#[derive(Debug)]
pub struct BuildOutcome {
    /// An error if some library was not built; the others were.
    pub result: Result<(), BuildError>,
    /// What the libraries are made from, for [`Workspace::learn`](super::Workspace::learn).
    pub inputs: Inputs,
}
