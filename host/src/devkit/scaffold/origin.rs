//! Where a new crate gets Atoll's own crates from.

use std::path::{Path, PathBuf};

use toml_edit::{DocumentMut, Table, TableLike, Value};

/// Where `atoll-plugin` and `atoll-host` come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// What the workspace says of them under `[workspace.dependencies]`.
    Workspace(Vec<String>),
    /// The source that this program was built from.
    Checkout(PathBuf),
    /// The registry of crates, in the version of this program.
    Version(&'static str),
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

impl Origin {
    /// For a crate of the workspace with this manifest.
    pub(super) fn find(workspace: &str) -> Self {
        let document: DocumentMut = workspace.parse().unwrap_or_default();
        let shared = document.get("workspace").and_then(|it| it.get("dependencies"));
        let shared = shared.and_then(|it| it.as_table_like()).into_iter().flat_map(TableLike::iter);
        let shared: Vec<String> = shared.map(|(name, _)| name.to_owned()).collect();
        if shared.iter().any(|name| name == "atoll-plugin") {
            Self::Workspace(shared)
        } else {
            Self::outside()
        }
    }

    fn outside() -> Self {
        let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_owned);
        let is_there = |checkout: &PathBuf| {
            ["plugin-api", "host"].iter().all(|folder| checkout.join(folder).join("Cargo.toml").is_file())
        };
        checkout.filter(is_there).map_or(Self::Version(VERSION), Self::Checkout)
    }

    /// Says in a dependency's table where the crate `name` comes from.
    pub(super) fn write(&self, name: &str, dependency: &mut dyn TableLike) {
        let (key, value) = match self {
            Self::Workspace(shared) if shared.iter().any(|it| it == name) => ("workspace", Value::from(true)),
            Self::Workspace(_) => return Self::outside().write(name, dependency),
            Self::Checkout(checkout) => {
                let folder = if name == "atoll-plugin" { "plugin-api" } else { "host" };
                ("path", Value::from(checkout.join(folder).display().to_string()))
            }
            Self::Version(version) => ("version", Value::from(*version)),
        };
        let others: Table = dependency.iter().map(|(key, item)| (key.to_owned(), item.clone())).collect();
        dependency.clear();
        dependency.insert(key, value.into());
        for (key, item) in others {
            dependency.insert(&key, item);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workspace_that_has_the_crates_shares_them() {
        let shared = Origin::find("[workspace.dependencies]\natoll-plugin = \"0.1\"\n");
        assert_eq!(shared, Origin::Workspace(vec!["atoll-plugin".to_owned()]));
        for other in ["[workspace]\n", "[workspace.dependencies]\nserde = \"1\"\n"] {
            assert!(
                matches!(Origin::find(other), Origin::Checkout(path) if path.join("plugin-api").is_dir())
            );
        }
    }
}
