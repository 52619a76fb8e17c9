//! Building the libraries of crates with cargo, for `atoll dev` and `atoll build`.

mod cargo;
mod config_env;
mod crate_build;
mod dep_info;
mod error;
mod failure;
mod features;
mod group;
mod inputs;
mod manifests;
mod options;
mod outcome;
mod output;
mod run;
mod settings;
mod symbols;
mod workspace;

pub use self::cargo::cargo;
pub use self::crate_build::CrateBuild;
pub use self::error::BuildError;
pub use self::inputs::Inputs;
pub use self::options::BuildOptions;
pub use self::outcome::{BuildOutcome, BuiltLibrary};
pub use self::settings::is_about_builds;
pub use self::symbols::Symbols;
pub use self::workspace::Workspace;
